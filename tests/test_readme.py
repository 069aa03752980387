"""The commands of README.md and train/RESULTS.md exist, with the options shown; the TOML is a line that loads."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from bundle.toml_text import parse_toml
from edge.cli import app as edge_inspect
from edge.config.line import parse_line
from export.cli import app as edge_export
from train.cli.main import app as train

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
APPS = {"train": train, "edge-export": edge_export, "edge-inspect": edge_inspect}


RESULTS = (ROOT / "train" / "RESULTS.md").read_text(encoding="utf-8")


def fenced(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


COMMANDS = [
    words
    for block in [*fenced("sh"), *fenced("sh", RESULTS)]
    for line in block.replace("\\\n", " ").splitlines()
    if (words := shlex.split(line, comments=True))
]


def options_of(command: Any) -> set[str]:
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_exists(words: list[str]) -> None:
    program, *arguments = words
    if program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
        assert set(arguments) <= set(targets)
    elif program in APPS:
        command = typer.main.get_command(APPS[program])
        if arguments and arguments[0] in (subcommands := getattr(command, "commands", {})):
            command, arguments = subcommands[arguments[0]], arguments[1:]
        shown = {word.split("=")[0] for word in arguments if word.startswith("--")}
        assert shown <= options_of(command)
    elif program.startswith("tools/"):
        assert (ROOT / program).stat().st_mode & 0o111, f"{program} is not executable"
    else:
        assert program in {"pip", "cd", "git"}


@pytest.mark.parametrize("text", fenced("toml"))
def test_the_readme_s_line_loads(text: str) -> None:
    parse_line(parse_toml(text), ROOT / "line.toml")


@pytest.mark.parametrize("path", re.findall(r"\]\(([\w./-]+)\)", README))
def test_a_link_of_the_readme_leads_somewhere(path: str) -> None:
    assert (ROOT / path).exists()
