"""PostgreSQL database of the central records: connection, schema, partitions. The only file that imports psycopg."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

import psycopg
from psycopg import sql

from edge.address import shown
from edge.config.central import CentralSettings
from edge.errors import ServerError
from edge.forwarding.secret import read_password

VERSION = 1
"""Version of the schema; `schema/N.sql` migrates version N-1, or an empty database, to version N."""
LIMITS = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "options": "-c statement_timeout=120s -c lock_timeout=30s -c timezone=UTC",
    "application_name": "edge-inspect",
}
"""Options of the connection, libpq and PostgreSQL 15: a server that hangs is given up."""
MIGRATION_LOCK = 0x65_64_67_65  # "edge", of all stations
STATION_LOCK = 0x65_69  # "ei", with the hash of the station's name
PARTITIONED = ("parts", "views", "defects")
YEARS = range(2020, 2100)
"""Years whose months have partitions of their own."""


class CentralDatabase:
    """One connection. Its methods raise ServerError where the database does not work; then it is closed."""

    def __init__(self, settings: CentralSettings) -> None:
        self._settings = settings
        self._connection: psycopg.Connection[Any] | None = None

    def open(self, migrate: bool = True) -> None:
        """Connect, and bring the schema up to date; an open connection is closed first."""
        self.close()
        keys = dict(LIMITS)
        if self._settings.password_file is not None:
            keys["password"] = read_password(self._settings.password_file)
        with self.explained():
            self._connection = psycopg.connect(self._settings.database, autocommit=True, **cast(Any, keys))
        if migrate:
            self._migrate()

    @property
    def is_open(self) -> bool:
        """Whether there is a connection that has not failed."""
        return self._connection is not None

    def close(self) -> None:
        """Disconnect."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn the errors of a block into ServerError, which says address and cause, never a password."""
        try:
            yield
        except psycopg.Error as error:
            self.close()
            cause = " ".join(str(error).split()) or type(error).__name__
            raise ServerError(
                f"central records {shown(self._settings.database)}: {cause}; check server, address, password and rights"
            ) from None

    @contextmanager
    def transaction(self) -> Iterator["psycopg.Cursor[Any]"]:
        """Run a block in one transaction."""
        with self.explained():
            if self._connection is None:
                raise psycopg.OperationalError("the connection is closed")
            with self._connection.transaction(), self._connection.cursor() as cursor:
                yield cursor

    def take_station(self, station: str) -> None:
        """Take the lock of a station, which lasts as long as the connection."""
        with self.transaction() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", (STATION_LOCK, station))
            if not _value(cursor):
                raise ServerError(
                    f"central records {shown(self._settings.database)}: found another writer of the station "
                    f"{station!r}, expected none; give each station a name of its own"
                )

    def make_partitions(self, times: Iterable[str]) -> None:
        """Make the partitions of the months of these times that are not there yet."""
        months = {(moment.year, moment.month) for time in times for moment in [_utc(time)] if moment.year in YEARS}
        for year, month in sorted(months):
            with self.transaction() as cursor:
                cursor.execute("SELECT to_regclass(%s)", (f"edge_inspect.parts_{year}_{month:02}",))
                if _value(cursor) is None:
                    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
                    for table in PARTITIONED:
                        cursor.execute(_partition(table, year, month))

    def version(self) -> int:
        """Return the version of the schema, 0 where no station has written; raises ServerError for a newer one."""
        with self.transaction() as cursor:
            cursor.execute("SELECT to_regclass('edge_inspect.schema_versions')")
            return 0 if _value(cursor) is None else self._version(cursor)

    def check_rights(self) -> None:
        """Check that the user may make the schema, or its partitions; raises ServerError."""
        if self.version():
            query = "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'edge_inspect.parts'::regclass"
            needed = "that is the owner of edge_inspect.parts, or a member of it"
        else:
            query = "SELECT has_database_privilege(current_database(), 'CREATE')"
            needed = "that may make a schema in this database"
        with self.transaction() as cursor:
            cursor.execute(f"SELECT current_user::text, ({query})")
            user, may = cursor.fetchone() or ("", False)
        if not may:
            raise ServerError(
                f"central records {shown(self._settings.database)}: found the user {user!r}, expected one {needed}; "
                "docs/plant.md has the commands"
            )

    def _version(self, cursor: "psycopg.Cursor[Any]") -> int:
        cursor.execute("SELECT coalesce(max(version), 0) FROM edge_inspect.schema_versions")
        found = int(_value(cursor))
        if found > VERSION:
            raise ServerError(
                f"central records {shown(self._settings.database)}: found version {found}, expected at most "
                f"{VERSION}; use the edge-inspect that made them, or a newer one"
            )
        return found

    def _migrate(self) -> None:
        with self.transaction() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
            cursor.execute("SELECT to_regclass('edge_inspect.schema_versions')")
            if _value(cursor) is None:
                cursor.execute("CREATE SCHEMA IF NOT EXISTS edge_inspect")
                cursor.execute(
                    "CREATE TABLE edge_inspect.schema_versions (version integer PRIMARY KEY, made timestamptz)"
                )
            for version in range(self._version(cursor) + 1, VERSION + 1):
                step = (Path(__file__).parent / "schema" / f"{version}.sql").read_text(encoding="utf-8")
                cursor.execute(cast(Any, step))
                cursor.execute("INSERT INTO edge_inspect.schema_versions VALUES (%s, now())", (version,))


def merge(
    cursor: "psycopg.Cursor[Any]", table: str, columns: Sequence[str], key: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Insert rows by COPY; one whose key is there already is updated where it differs."""
    if not rows:
        return
    new, target = sql.Identifier(f"new_{table}"), sql.Identifier("edge_inspect", table)
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    cursor.execute(
        sql.SQL("CREATE TEMP TABLE IF NOT EXISTS {} ON COMMIT DELETE ROWS AS SELECT {} FROM {} WITH NO DATA").format(
            new, names, target
        )
    )
    with cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN").format(new, names)) as copy:
        for row in rows:
            copy.write_row([_text(value) for value in row])
    others = [name for name in columns if name not in key]
    listed = sql.SQL(", ").join(map(sql.Identifier, others))
    old = sql.SQL(", ").join(sql.Identifier("old", name) for name in others)
    excluded = sql.SQL(", ").join(sql.Identifier("excluded", name) for name in others)
    cursor.execute(
        sql.SQL(
            "INSERT INTO {target} AS old ({names}) SELECT {names} FROM {new} ON CONFLICT ({key}) "
            "DO UPDATE SET ({listed}) = ROW({excluded}) WHERE ROW({old}) IS DISTINCT FROM ROW({excluded})"
        ).format(
            target=target, names=names, new=new, key=sql.SQL(", ").join(map(sql.Identifier, key)),
            listed=listed, excluded=excluded, old=old,
        )
    )  # fmt: skip


def _value(cursor: "psycopg.Cursor[Any]") -> Any:
    row = cursor.fetchone()
    assert row is not None  # of a query that returns one
    return row[0]


def _partition(table: str, year: int, month: int) -> sql.Composed:
    following = (year + month // 12, month % 12 + 1)
    bounds = [sql.Literal(f"{y}-{m:02}-01 00:00:00+00") for y, m in ((year, month), following)]
    return sql.SQL("CREATE TABLE IF NOT EXISTS {} PARTITION OF {} FOR VALUES FROM ({}) TO ({})").format(
        sql.Identifier("edge_inspect", f"{table}_{year}_{month:02}"), sql.Identifier("edge_inspect", table), *bounds
    )


def _utc(time: str) -> datetime:
    return datetime.fromisoformat(time).astimezone(timezone.utc)


def _text(value: Any) -> Any:
    """PostgreSQL's text has no NUL."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value
