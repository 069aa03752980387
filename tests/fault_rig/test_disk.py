"""A small disk that really fills and really hangs."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.fault_rig.equipment.disk import Disk, small_disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Disk, Path]]:
    """Mount one, with a file on it."""
    mounting = small_disk(tmp_path / "disk", size_mib=8)
    try:
        mounted = mounting.__enter__()
    except SystemExit as error:
        pytest.skip(str(error))
    yield mounted, tmp_path / "disk" / "file"
    mounting.__exit__(None, None, None)


def test_a_full_disk_takes_nothing_until_it_is_emptied(disk: tuple[Disk, Path]) -> None:
    small, file = disk
    small.fill()
    with pytest.raises(OSError, match="No space left"):
        file.write_bytes(bytes(4096))
    small.empty()
    assert file.write_bytes(bytes(4096)) == 4096


def test_a_frozen_disk_holds_up_who_writes_until_it_is_thawed(disk: tuple[Disk, Path]) -> None:
    small, file = disk
    small.freeze()
    writer = threading.Thread(target=file.write_bytes, args=(b"late",))
    writer.start()
    writer.join(0.2)
    held_up = writer.is_alive()
    small.thaw()
    writer.join()

    assert held_up
    assert file.read_bytes() == b"late"


def test_a_disk_that_is_not_frozen_may_be_thawed(disk: tuple[Disk, Path]) -> None:
    disk[0].thaw()
