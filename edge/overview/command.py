"""The command `edge-inspect overview`."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from bundle import first_problem
from edge.config.central import CentralSettings
from edge.config.schema import ListenAddress, host_and_port, is_loopback
from edge.errors import LineConfigError, StationError


def overview(
    database: Annotated[str, typer.Argument(help="Address of the central records, postgresql://user@host/name.")],
    listen: Annotated[str, typer.Option(help="Address and port of the page.")] = "127.0.0.1:8090",
    database_password: Annotated[
        Path | None, typer.Option("--database-password-file", help="File with the password of the database.")
    ] = None,
    password: Annotated[
        Path | None, typer.Option("--password-file", help="File with the password of the page; any user name.")
    ] = None,
) -> None:
    """Serve a page with all stations of the central records, until Ctrl-C."""
    from edge.central.feed import check_psycopg

    check_psycopg()
    from edge.central.database import CentralDatabase
    from edge.forwarding.secret import read_password
    from edge.overview.server import OverviewServer
    from edge.overview.stations import StationSummary, read_summaries

    try:
        TypeAdapter(ListenAddress).validate_python(listen)
    except ValidationError as error:
        raise LineConfigError(f"overview: --listen: {first_problem(error)}") from None
    try:
        settings = CentralSettings(database=database, station="overview", password_file=database_password)
    except ValidationError as error:
        raise LineConfigError(f"overview: {first_problem(error)}") from None
    if password is None and not is_loopback(listen):
        raise LineConfigError(
            f"overview: found --listen {listen} without --password-file, expected one; others see the page"
        )
    central = CentralDatabase(settings)

    def read() -> list[StationSummary]:
        if not central.is_open:
            central.open(migrate=False)
        return read_summaries(central)

    word = "" if password is None else read_password(password)
    if database_password is not None:
        read_password(database_password)
    with OverviewServer(*host_and_port(listen), read, word) as server:
        typer.echo(f"overview: http://{listen}")
        try:
            server.stations()
        except StationError as error:
            typer.echo(f"overview: {error}; the page asks again", err=True)
        server.serve_forever()
