"""The file of users, and the passwords in it."""

import json
import os
from pathlib import Path

import pytest

from edge.access.passwords import LONGEST, hashed, is_password, password_problem
from edge.access.users import UserFile, add_user, change_user, name_problem, remove_user
from edge.errors import AccessError

pytest.importorskip("argon2", reason="passwords need edge-inspect[page]")
PASSWORD = "correct horse battery"


@pytest.fixture
def file(tmp_path: Path) -> UserFile:
    file = UserFile(tmp_path / "users.json")
    add_user(file, "Anna Ölz", "inspector", lambda: hashed(PASSWORD))
    return file


def test_a_user_is_stored_without_the_password(file: UserFile) -> None:
    text = file.path.read_text()

    assert file.path.stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in text
    assert json.loads(text)["users"]["Anna Ölz"]["password"].startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_a_password_is_known_again_and_no_other(file: UserFile) -> None:
    known = file.users()["Anna Ölz"].password

    assert is_password(known, PASSWORD)
    assert not any(is_password(known, wrong) for wrong in ("", PASSWORD + " ", PASSWORD.upper(), "\0", "x" * 100_000))
    assert not is_password(None, PASSWORD)
    assert not is_password(known, "\udcff")  # no Unicode text


def test_an_accent_is_the_same_however_it_is_typed() -> None:
    assert is_password(hashed("Ta\u0308glich gepru\u0308ft"), "Täglich geprüft")


@pytest.mark.parametrize("password", ["", "short one", "x" * (LONGEST + 1), "with a\nline break", "with a \0 in it"])
def test_a_password_that_is_too_short_or_odd_is_refused(password: str) -> None:
    assert password_problem(password) is not None


@pytest.mark.parametrize(
    "name", ["", " anna", "a\nb", "a\0b", "a\u200bb", "\u202eanna", "\uff41nna", "anna ÖLZ", "Anna Ölz", "x" * 61]
)
def test_a_name_that_looks_like_another_or_is_odd_is_refused(file: UserFile, name: str) -> None:
    assert name_problem(name, file.users()) is not None


def test_users_are_changed_and_removed(file: UserFile) -> None:
    before = file.users()["Anna Ölz"]
    change_user(file, "Anna Ölz", role="engineer")
    changed = file.users()["Anna Ölz"]
    remove_user(file, "Anna Ölz")

    assert (changed.role, changed.password) == ("engineer", before.password)
    assert file.users() == {}
    with pytest.raises(AccessError, match="found no user 'Bert', expected one of: none yet"):
        remove_user(file, "Bert")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "found no JSON"),
        ("[" * 100_000, "found no JSON"),
        ("\udcff", "found no JSON"),
        ('{"users": {"a": {"role": "boss", "password": "x"}}}', "role"),
        ('{"users": {"a": {"role": "operator", "password": "secret in the clear"}}}', "password"),
    ],
)
def test_a_file_that_is_none_of_users_is_refused(file: UserFile, content: str, problem: str) -> None:
    file.path.write_bytes(content.encode("utf-8", "surrogateescape"))

    with pytest.raises(AccessError, match=problem):
        file.users()


def test_a_file_that_others_may_read_is_refused(file: UserFile) -> None:
    file.path.chmod(0o640)

    with pytest.raises(AccessError, match="found permissions 640, expected 600; chmod 600"):
        file.users()


def test_a_file_that_is_a_pipe_or_a_link_is_refused(file: UserFile, tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe.json", tmp_path / "link.json"
    os.mkfifo(pipe, 0o600)
    link.symlink_to(file.path)

    for path in (pipe, link):
        with pytest.raises(AccessError):
            UserFile(path).users()


def test_a_missing_file_says_how_it_is_made(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="edge-inspect user add"):
        UserFile(tmp_path / "users.json").users()
