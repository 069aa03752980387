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


def kind_of(address: str) -> str:
    """Return the part before `://`; empty if there is none."""
    return address.partition("://")[0] if "://" in address else ""


def place_of(address: str) -> str:
    """Return the part between `://` and the first `?`, with %XX resolved: a `?` that belongs to it is written %3F."""
    return unquote(address.partition("://")[2].partition("?")[0])


def shown(address: str) -> str:
    """Return the address without user and password, for messages and records."""
    return re.sub(r"//[^/@?]*@", "//", address)


def read_options(address: str, model: type[Chosen]) -> Chosen:
    """Parse the options of a camera's address; raises CameraError with option, found and expected."""
    try:
        return parse_options(address, model)
    except ValueError as error:
        raise CameraError(f"camera {shown(address)}: {error}") from None


def parse_options(address: str, model: type[Chosen]) -> Chosen:
    """Parse the options of an address; raises ValueError with option, found and expected."""
    given = parse_qsl(address.partition("?")[2], keep_blank_values=True)
    twice = {key for key, _ in given if [name for name, _ in given].count(key) > 1}
    if twice:
        raise ValueError(f"option {min(twice)}: found twice, expected once; remove one")
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        problem = f"option {first_problem(error)}; the options are: {', '.join(model.model_fields)}"
        raise ValueError(problem) from None
