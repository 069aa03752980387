"""Repository paths and links in docs/ lead to existing files."""

import re
from pathlib import Path

import pytest
import typer

import edge.cli
import export.cli
import train.cli.main

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = "bundle|docs|edge|export|firmware_bridge|models|synthetic|tests|tools|train"
PATH = re.compile(rf"(?<![\w./<-])(?:{FOLDERS})/[\w./-]*\w")
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
OUTPUTS = {"firmware_bridge/device/build/fuzz", "models/mine-fp16", "models/mine-int8"}
"""Paths that the commands of the documents write."""

NAMED = sorted((name, path) for name, text in TEXTS.items() for path in set(PATH.findall(text)) - OUTPUTS)
LINKS = [(name, link) for name, text in TEXTS.items() for link in re.findall(r"\]\((?!http)([^)#\s]*)", text)]


def test_the_documents_name_paths() -> None:
    assert len(NAMED) > 80
    assert len(LINKS) >= 3


@pytest.mark.parametrize(("document", "path"), NAMED)
def test_a_repository_path_in_a_document_exists(document: str, path: str) -> None:
    assert (ROOT / path).exists(), f"docs/{document} names {path}, expected a file or folder of the repository"


@pytest.mark.parametrize(("document", "link"), LINKS)
def test_a_link_of_a_document_leads_to_a_file(document: str, link: str) -> None:
    assert (ROOT / "docs" / link).exists(), f"docs/{document} links to {link}, expected a file"


@pytest.mark.parametrize("app", [edge.cli.app, export.cli.app, train.cli.main.app])
def test_the_help_has_no_brackets_that_rich_would_take_for_markup(app: typer.Typer) -> None:
    commands = [typer.main.get_command(app)]
    for command in commands:  # grows
        commands += getattr(command, "commands", {}).values()
        texts = [command.help, *(getattr(parameter, "help", "") for parameter in command.params)]
        assert [text for text in texts if text and re.search(r"\[[a-z#/@]", text)] == []
    assert len(commands) > 3
