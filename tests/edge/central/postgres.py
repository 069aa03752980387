"""A PostgreSQL server of the tests' own, on a unix socket in a temporary folder."""

import os
import pwd
import shutil
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("psycopg", reason="the central records need edge-inspect[central]")

import psycopg

from edge.config.central import CentralSettings
from edge.forwarding.messages import ForwardingTask
from tests.edge.forwarding.waiting import wait_for


def programs() -> Path | None:
    """Folder of Debian's PostgreSQL programs; None where it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


class Postgres:
    """A server with its data in a folder of its own."""

    def __init__(self, port: int = 0, tls: tuple[Path, Path] | None = None, syncs: bool = False) -> None:
        """`port`: TCP port beside the unix socket, 0 for none; `tls`: certificate and key: the port asks for TLS
        and a password;
        `syncs`: whether commits wait for the disk."""
        self._syncs = "on" if syncs else "off"
        self._listens = f"-c listen_addresses=127.0.0.1 -c port={port}" if port else "-c listen_addresses=''"
        self._port = f"&port={port}" if port else ""
        found = programs()
        if found is None:
            pytest.skip("PostgreSQL is not installed: tests/install-plant-peers")
        self._programs, self._user = found, None
        self.folder = Path(tempfile.mkdtemp(prefix="edge-pg-"))
        if os.geteuid() == 0:  # PostgreSQL does not run as root
            self._user = "postgres" if _exists("postgres") else "nobody"
            shutil.chown(self.folder, self._user)
        self.log = self.folder / "log"
        self._data = self.folder / "data"
        self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", "edge", "-E", "UTF8", "--no-sync")
        if tls is not None:
            self._require_tls(*tls)
        self.start()

    def start(self) -> None:
        """Start it, and wait until it accepts connections; children of a killed one end a moment later."""
        options = f"-k {self.folder} {self._listens} -c fsync={self._syncs} -c max_connections=60"
        command = ("pg_ctl", "-D", str(self._data), "-l", str(self.log), "-w", "-t", "120", "-o", options, "start")
        wait_for(lambda: self._succeeds(*command), "PostgreSQL does not start")

    def kill(self) -> None:
        """Kill every process of the server, as a power failure would."""
        main = int((self._data / "postmaster.pid").read_text(encoding="utf-8").split()[0])
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(main)], capture_output=True, text=True, check=False
        )
        for process in [main, *map(int, children.stdout.split())]:
            subprocess.run(["kill", "-9", str(process)], check=False, capture_output=True)

    def close(self) -> None:
        """Stop it, and remove its folder."""
        subprocess.run(
            self._command("pg_ctl", "-D", str(self._data), "-m", "immediate", "-w", "stop"),
            check=False, capture_output=True, cwd="/",
        )  # fmt: skip
        shutil.rmtree(self.folder, ignore_errors=True)

    def address(self, database: str) -> str:
        """Address of a database, which is made if there is none."""
        with closing(
            psycopg.connect(f"postgresql://edge@/postgres?host={self.folder}{self._port}", autocommit=True)
        ) as opened:
            if opened.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone() is None:
                opened.execute(f'CREATE DATABASE "{database}"')
        return f"postgresql://edge@/{database}?host={self.folder}{self._port}"

    def _require_tls(self, certificate: Path, key: Path) -> None:
        own_key = self.folder / "server.key"  # PostgreSQL takes none that others may read
        own_key.touch(0o600)
        own_key.write_bytes(key.read_bytes())
        if self._user:
            shutil.chown(own_key, self._user)
        own_certificate = self.folder / "server.crt"
        own_certificate.write_bytes(certificate.read_bytes())
        rules = (
            "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\nhostnossl all all 127.0.0.1/32 reject\n"
        )
        (self._data / "pg_hba.conf").write_text(rules, encoding="utf-8")
        with (self._data / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write(f"ssl = on\nssl_cert_file = '{own_certificate}'\nssl_key_file = '{own_key}'\n")

    def _succeeds(self, program: str, *arguments: str) -> bool:
        done = subprocess.run(
            self._command(program, *arguments),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            check=False,
        )
        return done.returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            self._command(program, *arguments), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/", check=False
        )
        assert done.returncode == 0, done.stderr.decode()

    def _command(self, program: str, *arguments: str) -> list[str]:
        as_user = ["setpriv", f"--reuid={self._user}", "--clear-groups"] if self._user else []
        return [*as_user, str(self._programs / program), *arguments]


def _exists(user: str) -> bool:
    return any(entry.pw_name == user for entry in pwd.getpwall())


def rows(address: str, query: str) -> list[tuple[Any, ...]]:
    """Ask the database."""
    with closing(psycopg.connect(address, autocommit=True)) as opened:
        return opened.execute(query).fetchall()


def execute(address: str, *commands: str) -> None:
    """Run commands."""
    with closing(psycopg.connect(address, autocommit=True)) as opened:
        for command in commands:
            opened.execute(command)


def task_of(records: Path, address: str, station: str = "line3") -> ForwardingTask:
    """The task of a writer of this database."""
    settings = CentralSettings(database=address, station=station)
    return ForwardingTask(settings=settings.model_dump_json(), records=records)
