"""JSON and XML documents from untrusted sources: read within limits, with errors that name the file."""

import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn
from xml.etree.ElementTree import Element, ParseError

from defusedxml.ElementTree import fromstring

from train.data.files import read_text
from train.errors import DataError

MOST_DIGITS = 18

_NUMBER = re.compile(r"[+-]?\d{1,18}(\.\d{0,20})?(e[+-]?\d{1,2})?", re.IGNORECASE)


def read_json(file: Path) -> Any:
    """Parse a JSON file in UTF-8 or UTF-16. Raises DataError, also for NaN and for numbers without end."""
    text = read_text(file)
    try:
        return json.loads(text, parse_constant=_no_number, parse_int=_whole_number)
    except RecursionError:
        raise DataError(f"{file}: found lists in each other without end; export the annotations again") from None
    except ValueError as error:
        raise DataError(f"{file}: cannot be read as JSON ({error}); export the annotations again") from None


def read_xml(file: Path, root: str) -> Element:
    """Parse an XML file whose outermost element is `root`. Raises DataError, also for entities and document types."""
    try:
        parsed: Element = fromstring(file.read_bytes(), forbid_dtd=True)
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); restore the file") from None
    except (ParseError, ValueError, LookupError) as error:
        raise DataError(f"{file}: cannot be read as XML ({error}); export the annotations again") from None
    if parsed.tag != root:
        raise DataError(f"{file}: found <{parsed.tag:.40}>, expected <{root}>; export the annotations again")
    return parsed


@contextmanager
def structure_errors(where: object) -> Iterator[None]:
    """Turn a missing key or a value of another kind into one DataError."""
    try:
        yield
    except KeyError as error:
        raise DataError(f"{where}: found no {error}, expected it; export the annotations again") from error
    except (TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise DataError(f"{where}: found another structure ({error}); export the annotations again") from error


def text_of(value: object, what: str, where: object) -> str:
    """The value, if it is text. Raises DataError."""
    if not isinstance(value, str):
        raise DataError(f"{where}: found {value!r:.40} as {what}, expected text; export the annotations again")
    return value


def whole(value: object, what: str, where: object) -> int:
    """The value, if it is a whole number. Raises DataError."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise DataError(f"{where}: found {value!r:.40} as {what}, expected a whole number; export them again")
    return value


def listed(value: object, what: str, where: object) -> list[Any]:
    """The value, if it is a list. Raises DataError."""
    if not isinstance(value, list):
        raise DataError(f"{where}: found {value!r:.40} as {what}, expected a list; export the annotations again")
    return value


def number(text: object, what: str, where: object) -> float:
    """The finite number that a text of an XML file states. Raises DataError."""
    if not isinstance(text, str) or not _NUMBER.fullmatch(text.strip()) or not math.isfinite(float(text)):
        raise DataError(f"{where}: found {text!r:.40} as {what}, expected a number; export the annotations again")
    return float(text)


def whole_number(text: object, what: str, where: object) -> int:
    """The whole number that a text of an XML file states. Raises DataError."""
    value = number(text, what, where)
    if not value.is_integer():
        raise DataError(f"{where}: found {text!r:.40} as {what}, expected a whole number; export them again")
    return int(value)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"found {name}, expected numbers")


def _whole_number(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"found a number of {len(digits)} digits, expected at most {MOST_DIGITS}")
    return int(digits)
