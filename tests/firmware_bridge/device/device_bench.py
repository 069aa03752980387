"""The C reject controller on a test bench: built with gcc, loaded, and driven in simulated time."""

import ctypes
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from firmware_bridge.messages import Counters, Settings, Verdict

DEVICE = Path(__file__).resolve().parents[3] / "firmware_bridge" / "device"
PART, EJECTED, RESET = 1, 2, 4
EJECT, RUN, HEALTHY, ALARM = 1, 2, 4, 8

SETTINGS_ORDER = tuple(Settings.LAYOUT.fields)


def build(target: str, folder: Path) -> Path:
    """Build one target of the Makefile into `folder`; skips where there is no compiler.

    EI_CFLAGS replaces the compiler's options, for a coverage build.
    """
    if not (shutil.which("gcc") and shutil.which("make")):
        pytest.skip("gcc or make is not installed, so the C reject controller cannot be built")
    chosen = [f"BUILD={folder}", "CC=gcc", "CFLAGS=" + os.environ.get("EI_CFLAGS", "-O1 -g")]
    subprocess.run(["make", "-s", "-C", DEVICE, *chosen, f"{folder}/{target}"], check=True)
    return folder / target


@dataclass(frozen=True)
class Decided:
    """Decision of the controller on a part at the ejector."""

    part_id: int
    encoder: int
    verdict: Verdict
    passed: bool


class Bench:
    """One controller; time in milliseconds and the encoder count are the caller's."""

    def __init__(
        self,
        library: ctypes.CDLL,
        number: int,
        settings: Settings,
        now_ms: int = 0,
        encoder: int = 0,
        *,
        encoder_bits: int = 32,
        unchecked: dict[str, int] | None = None,
    ) -> None:
        """`unchecked` replaces settings by numbers that `Settings` would refuse."""
        self._library, self._counter = library, 2 ** min(32, encoder_bits)
        chosen = {name: int(getattr(settings, name)) for name in SETTINGS_ORDER} | (unchecked or {})
        values = (ctypes.c_uint32 * len(SETTINGS_ORDER))(*(chosen[name] for name in SETTINGS_ORDER))
        self._bench = ctypes.c_void_p(
            library.bench_new(number, values, now_ms % 2**32, encoder % self._counter, encoder_bits)
        )
        assert self._bench.value

    @property
    def started(self) -> bool:
        """Whether the controller found its settings valid."""
        return bool(self._library.bench_started(self._bench))

    def close(self) -> None:
        """Free its memory."""
        self._library.bench_free(self._bench)

    def feed(self, data: bytes) -> None:
        """Give it bytes to read."""
        self._library.bench_feed(self._bench, data, len(data))

    def poll(self, now_ms: int, encoder: int, inputs: int = 0) -> int:
        """Let it work once; gives its outputs."""
        return int(self._library.bench_poll(self._bench, now_ms % 2**32, encoder % self._counter, inputs))

    def take(self) -> bytes:
        """Take what it has written."""
        room = ctypes.create_string_buffer(65536)
        size = self._library.bench_take(self._bench, room)
        return room.raw[:size]

    def decided(self) -> list[Decided]:
        """Take the decisions since the last call."""
        room = (ctypes.c_uint32 * 1024)()
        count = self._library.bench_decided(self._bench, room)
        lines = [room[4 * i : 4 * i + 4] for i in range(count)]
        return [Decided(part, encoder, Verdict(verdict), bool(passed)) for part, encoder, verdict, passed in lines]

    def counters(self) -> Counters:
        """Give its counters."""
        room = ctypes.create_string_buffer(Counters.LAYOUT.size)
        self._library.bench_counters(self._bench, room)
        return Counters(**Counters.LAYOUT.unpack(room.raw))

    def changeover(self, recipe: int) -> None:
        """Have it ask for a recipe."""
        self._library.bench_changeover(self._bench, recipe)


def load(folder: Path) -> ctypes.CDLL:
    """Build and load the library."""
    library = ctypes.CDLL(str(build("libbench.so", folder)))
    library.bench_new.restype = ctypes.c_void_p
    library.bench_new.argtypes = [
        ctypes.c_uint16,
        ctypes.POINTER(ctypes.c_uint32),
        ctypes.c_uint32,
        ctypes.c_uint32,
        ctypes.c_uint8,
    ]
    library.bench_started.argtypes = [ctypes.c_void_p]
    library.bench_started.restype = ctypes.c_bool
    library.bench_feed.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
    library.bench_poll.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint8]
    library.bench_poll.restype = ctypes.c_uint8
    library.bench_take.restype = library.bench_decided.restype = ctypes.c_size_t
    return library
