"""Files of `torch.save`, read without running anything in them and within limits of size.

A file of a stranger can name any function to call, claim members that unpack to any size, or be a pipe.
"""

import os
import pickle
import re
import stat
import struct
import warnings
import zipfile
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

MOST_BYTES = 2**32
"""Of a file; the largest network here has 0.1 GB with its optimiser."""
MOST_MEMBERS = 100_000
MOST_PICKLE_BYTES = 2**28
"""Of the member that names the tensors; it holds the split and the history too."""


class TorchFileError(ValueError):
    """A file that cannot be read as one of `torch.save`; the message says what was found and expected."""


def read_torch_file(path: Path, legacy: bool = False) -> object:
    """Read tensors and plain values onto the CPU; nothing in the file is executed.

    legacy: also read the layout from before torch 1.6, which has no checksums.
    Raises OSError for a file that cannot be opened, TorchFileError for one that is damaged or beyond the limits.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe would wait for a writer
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise TorchFileError("found a pipe, device or folder, expected a regular file")
        if found.st_size > MOST_BYTES:
            raise TorchFileError(f"found {found.st_size} bytes, expected at most {MOST_BYTES}")
        if zipfile.is_zipfile(file):
            _check_members(file, found.st_size)
        elif not legacy:
            raise TorchFileError("found a truncated file or another format")
        file.seek(0)
        return _unpickled(file)


def check_tensors(tensors: object, what: str) -> dict[str, Tensor]:
    """The same tensors by name. Raises TorchFileError where a name is no text, or a value no plain tensor on the CPU.

    A plain tensor has memory for each of its elements, so that a copy is not larger than what was read.
    """
    if not isinstance(tensors, dict):
        raise TorchFileError(f"found {what} of type {type(tensors).__name__}, expected tensors by name")
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise TorchFileError(f"found {what} with a {type(tensor).__name__}, expected tensors by name")
        plain = tensor.layout is torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
        if not plain or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise TorchFileError(f"found {what} with {name[:80]!a} larger than its memory, expected a plain tensor")
    return tensors


def _check_members(file: BinaryIO, size: int) -> None:
    """Check sizes and CRC-32 of the zip file's members; torch.load does neither, and stores without compression."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            unpacked = sum(member.file_size for member in members)
            if len(members) > MOST_MEMBERS or unpacked > size:
                raise TorchFileError(
                    f"found {len(members)} members of {unpacked} bytes in {size}, expected at most {MOST_MEMBERS}, "
                    "not compressed"
                )
            for member in members:
                if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
                    raise TorchFileError("found a compressed or encrypted member, expected the layout of torch.save")
                if member.filename.endswith("/data.pkl") and member.file_size > MOST_PICKLE_BYTES:
                    raise TorchFileError(f"found {member.file_size} bytes of names, expected {MOST_PICKLE_BYTES}")
            damaged = archive.testzip()
    except TorchFileError:
        raise
    except (
        zipfile.BadZipFile,
        OSError,
        NotImplementedError,
        RuntimeError,
        EOFError,
        ValueError,
        struct.error,
    ) as error:
        raise TorchFileError(_first_line(error)) from None
    if damaged is not None:
        raise TorchFileError(f"found a wrong checksum of {damaged[:80]!a}")


def _unpickled(file: BinaryIO) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an odd pickle, about the inside of torch
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # torch's message advises to switch weights_only off
        named = re.search(r"GLOBAL ([\w.]{1,80})", str(error))
        what = f"a call of {named[1]}" if named else "a damaged or hostile pickle"
        raise TorchFileError(f"found {what}, expected tensors and plain values only; do not use this file") from None
    except Exception as error:  # the pickle chooses the arguments of torch's own functions, and so their errors
        kind = type(error).__name__
        raise TorchFileError(f"found a truncated, damaged or other file ({kind}), expected one of torch.save") from None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
