"""A registry of the tests' own, Debian's docker-registry, with TLS and a password or tokens, on a free port."""

import hashlib
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from edge.rollout.store import RolloutStore
from tests.edge.access.certificates import Authority
from tests.edge.forwarding.waiting import free_port, wait_for
from tests.edge.rollout.token_server import TokenServer

USER, PASSWORD = "line3", "of the third line"
HASHED = "$2y$05$aHk3U8M1M7eDi.PQBOdHReSNmhn/6IGoeyEu6HDAVdtEyO1uDWv3e"
"""bcrypt of the password, as `htpasswd -nbB -C 5` writes it."""


class Registry:
    """A registry with its content in a folder. `with_tokens`: a server hands out tokens for the user's password."""

    def __init__(self, folder: Path, with_tokens: bool = False) -> None:
        program = shutil.which("docker-registry")
        if program is None:
            pytest.skip("docker-registry is not installed: tests/install-plant-peers")
        pytest.importorskip("dxf", reason="a registry needs edge-inspect[oci]")
        self.port, self.content = free_port(), folder / "content"
        self.authority = Authority(folder / "plant")
        certificate, key = self.authority.certify("registry")
        (folder / "users").write_text(f"{USER}:{HASHED}\n", encoding="utf-8")
        self.password_file = folder / "password"
        self.password_file.write_text(f"{PASSWORD}\n", encoding="utf-8")
        self.password_file.chmod(0o600)
        self.tokens = TokenServer(self.authority, USER, PASSWORD) if with_tokens else None
        tls = {"certificate": str(certificate), "key": str(key)}
        self._configuration = {
            "version": "0.1",
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(self.content)}},
            "http": {"addr": f"127.0.0.1:{self.port}", "secret": "of the tests", "tls": tls},
            "auth": {"htpasswd": {"realm": "plant", "path": str(folder / "users")}},
        }
        self._file = folder / "configuration.yml"
        self._command = [program, "serve", str(self._file)]
        if self.tokens is not None:
            self._trust(self.tokens)
        self.start()

    @property
    def options(self) -> list[str]:
        """Options of a command that the registry lets in."""
        return [
            "--user", USER, "--password-file", str(self.password_file), "--ca-file", str(self.authority.file),
        ]  # fmt: skip

    def store(
        self,
        repository: str,
        place: str = "",
        user: str = USER,
        password: str = PASSWORD,
        ca_file: Path | None = None,
    ) -> RolloutStore:
        """A store in a repository. `place`: another host and port, such as a proxy's."""
        from edge.rollout.registry import RegistryStore

        address = f"oci://{place or f'localhost:{self.port}'}/{repository}"
        return RegistryStore(address, user, password, ca_file or self.authority.file, timeout_s=2.0)

    def blob(self, content: bytes) -> Path:
        """File of a blob in the registry's storage."""
        digest = hashlib.sha256(content).hexdigest()
        return self.content / "docker/registry/v2/blobs/sha256" / digest[:2] / digest / "data"

    def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        self._file.write_text(json.dumps(self._configuration), encoding="utf-8")  # JSON is YAML
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self._accepts, "docker-registry does not start")

    def stop(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()

    def hand_over(self, tokens: TokenServer) -> None:
        """Restart it with another server of its tokens."""
        self.stop()
        self._trust(tokens)
        self.start()

    def _trust(self, tokens: TokenServer) -> None:
        self._configuration["auth"] = {"token": tokens.configuration(self.authority.file)}

    def _accepts(self) -> bool:
        assert self._process.poll() is None, "docker-registry has ended"
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
            return True
        return False


@contextmanager
def running_registry(folder: Path, with_tokens: bool = False) -> Iterator[Registry]:
    """A registry for the time of the block."""
    registry = Registry(folder, with_tokens)
    try:
        yield registry
    finally:
        registry.stop()
        if registry.tokens is not None:
            registry.tokens.close()
