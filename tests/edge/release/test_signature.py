"""A signature covers every byte of a bundle, and only a known key's counts."""

import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bundle import BundleDamaged, SignatureInvalid, Threshold, load_bundle
from edge.release.signature import (
    CHECKSUMS_HEADER,
    check_signature,
    make_keys,
    sign,
    sign_checksums,
    signature_path,
)
from tests.conftest import CLASSES

pytest.importorskip("cryptography", reason="cryptography is not installed: pip install 'edge-inspect[release]'")


Make = Callable[..., Path]


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return make_keys(tmp_path / "keys")


def test_a_signed_bundle_is_accepted_also_through_a_link(
    make_bundle: Make, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = make_bundle()
    assert sign(load_bundle(folder), keys[0]) == folder.with_name("tiny.sig")
    assert check_signature(folder, [keys[1]]) == load_bundle(folder).id
    (tmp_path / "current").symlink_to("tiny")
    assert check_signature(tmp_path / "current", [keys[1]]) == load_bundle(folder).id
    assert signature_path(tmp_path / "current") == folder.with_name("tiny.sig")


def test_one_of_several_keys_is_enough(make_bundle: Make, keys: tuple[Path, Path], tmp_path: Path) -> None:
    folder, (_, other) = make_bundle(), make_keys(tmp_path / "others")
    sign(load_bundle(folder), keys[0])
    assert check_signature(folder, [other, keys[1]])
    with pytest.raises(SignatureInvalid, match="expected one; the bundle was changed"):
        check_signature(folder, [other])


def test_another_bundle_s_signature_does_not_count(make_bundle: Make, keys: tuple[Path, Path]) -> None:
    folder, other = make_bundle(), make_bundle("other", thresholds={name: Threshold(score=0.8) for name in CLASSES})
    sign(load_bundle(other), keys[0])
    signature_path(folder).write_bytes(signature_path(other).read_bytes())
    with pytest.raises(SignatureInvalid, match="found no signature"):
        check_signature(folder, [keys[1]])


@pytest.mark.parametrize("content", [b"", b"x" * 64, b"x" * 63])
def test_a_damaged_signature_is_refused(make_bundle: Make, keys: tuple[Path, Path], content: bytes) -> None:
    folder = make_bundle()
    signature_path(folder).write_bytes(content)
    with pytest.raises(SignatureInvalid, match="found no signature"):
        check_signature(folder, [keys[1]])


def test_without_a_signature_the_file_is_named(make_bundle: Make, keys: tuple[Path, Path]) -> None:
    with pytest.raises(BundleDamaged, match=r"tiny\.sig: found no such file"):
        check_signature(make_bundle(), [keys[1]])


def test_wrong_keys_are_one_clear_error(make_bundle: Make, keys: tuple[Path, Path], tmp_path: Path) -> None:
    folder = make_bundle()
    private, public = keys
    sign(load_bundle(folder), private)
    with pytest.raises(SignatureInvalid, match="cannot be read as a key"):
        sign(load_bundle(folder), public)
    with pytest.raises(SignatureInvalid, match="cannot be read as a key"):
        check_signature(folder, [private])
    with pytest.raises(SignatureInvalid, match="none: No such file or directory"):
        check_signature(folder, [tmp_path / "none"])
    (tmp_path / "text").write_text("not a key")
    with pytest.raises(SignatureInvalid, match="expected PEM without a password"):
        check_signature(folder, [tmp_path / "text"])


def test_another_algorithm_s_key_is_refused(make_bundle: Make, tmp_path: Path) -> None:
    key = tmp_path / "rsa.pem"
    made = subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("openssl cannot make a key here")
    with pytest.raises(SignatureInvalid, match="found another kind of key, expected a private Ed25519 key"):
        sign(load_bundle(make_bundle()), key)


def test_keys_are_never_written_over_and_are_secret(keys: tuple[Path, Path]) -> None:
    assert stat.S_IMODE(keys[0].stat().st_mode) == 0o600
    with pytest.raises(SignatureInvalid, match="expected none, for a key that is lost cannot be made again"):
        make_keys(keys[0].parent)


def test_a_key_of_an_unknown_kind_is_one_line(keys: tuple[Path, Path], make_bundle: Callable[..., Path]) -> None:
    private, public = keys
    sign(load_bundle(folder := make_bundle()), private)
    begin, body, end = public.read_text().splitlines()
    public.write_text("\n".join([begin, f"{body[:8]}/{body[9:]}", end, ""]))  # in the identifier of the algorithm

    with pytest.raises(SignatureInvalid, match="cannot be read as a key"):
        check_signature(folder, [public])


def test_openssl_verifies_the_signature_of_a_list_of_checksums(keys: tuple[Path, Path], tmp_path: Path) -> None:
    checksums = tmp_path / "SHA256SUMS"
    checksums.write_text(f"{CHECKSUMS_HEADER}1.0\n{'0' * 64}  file\n")
    signature = sign_checksums(checksums, keys[0])
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(keys[1]), "-rawin", "-in", str(checksums)]
    command += ["-sigfile", str(signature)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    checksums.write_text(f"{CHECKSUMS_HEADER}1.1\n")
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


def test_nothing_but_a_list_of_checksums_is_signed_as_it_is(keys: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "file"
    other.write_bytes(b"edge-inspect bundle, version 1: " + b"0" * 64)
    with pytest.raises(SignatureInvalid, match="found no list of checksums"):
        sign_checksums(other, keys[0])
