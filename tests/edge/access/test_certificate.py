"""Certificates of the page in files that are right, and in every way wrong."""

from pathlib import Path

import pytest

from edge.access.certificate import check_certificate
from edge.errors import AccessError
from tests.edge.access.certificates import make_certificate, make_encrypted_key


def test_a_certificate_is_read_with_names_and_end(tmp_path: Path) -> None:
    found = check_certificate(*make_certificate(tmp_path, "station.plant.example"))

    assert found.names == ("station.plant.example", "127.0.0.1")


@pytest.mark.parametrize(("days", "problem"), [((-30, -1), "has expired; renew it"), ((1, 30), "not valid yet")])
def test_a_certificate_of_another_time_is_refused(tmp_path: Path, days: tuple[int, int], problem: str) -> None:
    with pytest.raises(AccessError, match=problem):
        check_certificate(*make_certificate(tmp_path, days=days))


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    certificate, _ = make_certificate(tmp_path / "one")
    _, other = make_certificate(tmp_path / "other")

    with pytest.raises(AccessError, match="the key is not that of the certificate"):
        check_certificate(certificate, other)


@pytest.mark.parametrize("broken", [0, 1], ids=["certificate", "key"])
@pytest.mark.parametrize("content", ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_file_of_another_kind_is_refused_in_one_line(tmp_path: Path, broken: int, content: str) -> None:
    files = make_certificate(tmp_path)
    files[broken].write_text(content)

    with pytest.raises(AccessError, match="expected a certificate and its key in PEM format") as refused:
        check_certificate(*files)
    assert "\n" not in str(refused.value)


def test_a_key_with_a_password_is_refused_without_asking(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    make_encrypted_key(key)

    with pytest.raises(AccessError, match="without a password"):
        check_certificate(certificate, key)


@pytest.mark.parametrize("missing", [0, 1], ids=["certificate", "key"])
def test_a_missing_file_is_named(tmp_path: Path, missing: int) -> None:
    files = make_certificate(tmp_path)
    files[missing].unlink()

    with pytest.raises(AccessError, match=files[missing].name):
        check_certificate(*files)
