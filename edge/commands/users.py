"""`edge-inspect user`: the people who may log in at the page of a line, and their log-ins."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from edge.access.audit import AccessLog, Event, accesses
from edge.access.passwords import hashed, password_problem
from edge.access.users import Role, UserFile, add_user, change_user, remove_user
from edge.commands.options import console
from edge.config.line import Line, load_line
from edge.errors import AccessError

user = typer.Typer(no_args_is_help=True, help="People with passwords: who may see, mark, and release.")

LinePath = Annotated[Path, typer.Argument(help="The line's configuration; the line may be running.")]
Name = Annotated[str, typer.Argument(help="Name of the user, as it is to stand in the records.")]
RoleOption = Annotated[
    Role, typer.Option(help="operator: sees, pauses, acknowledges. inspector: also marks. engineer: also releases.")
]
StandardInput = Annotated[bool, typer.Option("--stdin", help="Read the password from standard input, one line.")]


@user.command("add")
def add(line: LinePath, name: Name, role: RoleOption, stdin: StandardInput = False) -> None:
    """Add a user; asks for the password twice."""
    settings = load_line(line)
    add_user(_file(line, settings), name, role, lambda: hashed(_new_password(stdin)))
    _note(settings, "user added", name, role)


@user.command("remove")
def remove(line: LinePath, name: Name) -> None:
    """Remove a user, who is logged out at once."""
    settings = load_line(line)
    remove_user(_file(line, settings), name)
    _note(settings, "user removed", name)


@user.command("password")
def password(line: LinePath, name: Name, stdin: StandardInput = False) -> None:
    """Give a user a new password; the user is logged out at once."""
    settings = load_line(line)
    change_user(_file(line, settings), name, password=hashed(_new_password(stdin)))
    _note(settings, "password changed", name)


@user.command("role")
def role(line: LinePath, name: Name, role: RoleOption) -> None:
    """Give a user another role; the user is logged out at once."""
    settings = load_line(line)
    change_user(_file(line, settings), name, role=role)
    _note(settings, "role changed", name, role)


@user.command("list")
def list_(line: LinePath) -> None:
    """List the users with their roles."""
    table = Table("user", "role")
    for name, one in _file(line, load_line(line)).users().items():
        table.add_row(Text(name), one.role)
    console.print(table)


@user.command("log")
def log_(line: LinePath, most: Annotated[int, typer.Option(min=1, help="Rows to list.")] = 50) -> None:
    """List log-ins, failures, lock-outs and changes of users, the latest last."""
    table = Table("time, UTC", "event", "user", "address", "detail")
    for time, event, who, address, detail in accesses(load_line(line).records, most):
        table.add_row(time[:19].replace("T", " "), event, Text(who), Text(address), Text(detail))
    console.print(table)


def _file(path: Path, line: Line) -> UserFile:
    if line.page is None or line.page.users is None:
        raise AccessError(f'{path}: found no users in [page], expected a file, such as users = "users.json"')
    return UserFile(line.page.users)


def _new_password(stdin: bool) -> str:
    if stdin:
        text = sys.stdin.readline().rstrip("\r\n")
    else:
        text = typer.prompt("new password", hide_input=True, confirmation_prompt=True)
    if problem := password_problem(text):
        raise AccessError(problem)
    return text


def _note(line: Line, event: Event, name: str, detail: str = "") -> None:
    from getpass import getuser

    AccessLog(line.records).note(event, name, detail=f"{detail} by {getuser()}".strip())
    console.print(f"{event}: {name}", soft_wrap=True)
