"""Files: written whole, the old content or the new and nothing in between; read where there is memory."""

import errno
import os

import pytest

from bundle import BundleDamaged, BundleError, load_bundle, write_whole


@pytest.mark.parametrize("content", ["Riß\n", b"\x00\xff"])
def test_a_file_is_replaced(tmp_path, content) -> None:
    path = tmp_path / "new" / "file"
    write_whole(path, "old")

    write_whole(path, content)

    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_leaves_nothing_behind(tmp_path) -> None:
    (tmp_path / "taken").mkdir()

    with pytest.raises(OSError, match="taken") as refused:
        write_whole(tmp_path / "taken", "new")

    assert (refused.value.filename, refused.value.filename2) == (str(tmp_path / "taken"), None)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_full_disk_is_told_with_the_name_of_the_file(tmp_path, monkeypatch) -> None:
    def refuse(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match=f"No space left on device: '{tmp_path / 'file'}'"):
        write_whole(tmp_path / "file", "new")


def test_a_folder_that_takes_no_file_is_told_with_the_name_of_the_file(tmp_path, monkeypatch) -> None:
    """On a disk that is mounted read-only, removing the draft fails too."""

    def refuse(path, *_arguments, **_options) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(os, "unlink", refuse)
    with pytest.raises(OSError, match=f"Read-only file system: '{tmp_path / 'file'}'"):
        write_whole(tmp_path / "file", "new")


def test_text_that_is_no_unicode_leaves_the_old_file(tmp_path) -> None:
    path = tmp_path / "file"
    write_whole(path, "old")

    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "\ud800")

    assert path.read_text() == "old"


@pytest.mark.parametrize("call", ["open", "scandir"])
def test_without_memory_a_bundle_is_not_called_damaged(call, make_bundle, monkeypatch) -> None:
    bundle = make_bundle()

    def refuse(*_arguments, **_options) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(BundleError, match=r"Cannot allocate memory.*free some memory") as refused:
        load_bundle(bundle)
    assert not isinstance(refused.value, BundleDamaged)
