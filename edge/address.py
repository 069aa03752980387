"""Addresses of cameras and outputs: `kind://place?option=value&...`."""

import re
from typing import TypeVar
from urllib.parse import parse_qsl, unquote

from pydantic import BaseModel, ConfigDict, ValidationError

from bundle import first_problem
from edge.errors import CameraError


class AddressOptions(BaseModel):
    """Options after the `?` of an address; each field's description has its unit."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Chosen = TypeVar("Chosen", bound=AddressOptions)


LOCAL_KINDS = ("file", "synthetic", "v4l2", "csi", "genicam", "aravis", "serial", "gpio", "modem", "simulated")
"""Kinds whose addresses have no user and password; an `@` is part of the place."""
PIPELINE = "gst"
"""The kind whose place is a pipeline; addresses within it may have user and password."""
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
TOKEN_END = re.compile(r"[\s\"']|$")
"""An address within a pipeline ends at a blank or a quote."""


def kind_of(address: str) -> str:
    """Return the part before `://`; empty if there is none."""
    return address.partition("://")[0] if "://" in address else ""


def credentials_of(address: str) -> str:
    """Return `user:password` of a network address, as written; empty if there is none.

    They end at the last `@`, so that a password may contain `/`, `?`, `#` and `@`.
    """
    if kind_of(address) in ("", PIPELINE, *LOCAL_KINDS):
        return ""
    return address.partition("://")[2].rpartition("@")[0]


def place_of(address: str) -> str:
    """Return the part before the options, without credentials, percent-decoded; its own `?` is written %3F."""
    return unquote(_split(address)[0])


def options_of(address: str) -> str:
    """Return the part after the `?` that follows the credentials; empty if there is none."""
    return _split(address)[1]


def _split(address: str) -> tuple[str, str]:
    rest, credentials = address.partition("://")[2], credentials_of(address)
    if credentials:
        rest = rest[len(credentials) + 1 :]
    place, _, options = rest.partition("?")
    return place, options


def shown(address: str) -> str:
    """Return an address without credentials, for messages and records; also addresses within a pipeline."""
    if not SCHEME.search(address):
        return address.rpartition("@")[2]  # a mistyped address may have a password, too
    pieces, at = [], 0
    for scheme in SCHEME.finditer(address):
        if scheme.start() < at or scheme[1] in (PIPELINE, *LOCAL_KINDS):
            continue
        ending = TOKEN_END if kind_of(address) == PIPELINE else re.compile("$")
        found = ending.search(address, scheme.end())
        end = found.start() if found else len(address)
        place_at = max(scheme.end(), address.rfind("@", scheme.end(), end) + 1)
        pieces += [address[at : scheme.end()]]
        at = place_at
    return "".join([*pieces, address[at:]])


def read_options(address: str, model: type[Chosen]) -> Chosen:
    """Parse the options of a camera's address; raises CameraError with option, found and expected."""
    try:
        return parse_options(address, model)
    except ValueError as error:
        raise CameraError(f"camera {shown(address)}: {error}") from None


def parse_options(address: str, model: type[Chosen]) -> Chosen:
    """Parse the options of an address; raises ValueError with option, found and expected."""
    given = parse_qsl(options_of(address), keep_blank_values=True)
    twice = {key for key, _ in given if [name for name, _ in given].count(key) > 1}
    if twice:
        raise ValueError(f"option {min(twice)}: found twice, expected once; remove one")
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        problem = f"option {first_problem(error)}; the options are: {', '.join(model.model_fields)}"
        raise ValueError(problem) from None
