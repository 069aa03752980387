"""Wheels of everything that a station needs on another machine, each by its hash."""

import hashlib
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from tools.distribution.python_packages import run

EXTRAS = ("cpu", "page", "release", "opcua", "mqtt", "central", "s3", "oci", "s7", "gpio")
"""Extras of a station's package: all that it may need at a line, but for GPU and vendors' cameras."""
GLIBC_MINORS = range(17, 29)
"""manylinux tags that a target takes: glibc 2.17 to 2.28, PEP 600; Ubuntu 20.04 and Debian 10 have 2.28 or newer."""
SOURCE_ONLY = ("cobs", "www-authenticate")
"""Packages without wheels; built here without a compiler, which leaves their Python code."""


@dataclass(frozen=True)
class Target:
    """A kind of machine with a version of Python."""

    machine: str
    """As `platform.machine()` says: x86_64 or aarch64."""
    python: str
    """Such as 3.10."""

    @property
    def name(self) -> str:
        """Part of file names."""
        return f"{self.machine}-python{self.python}"

    @property
    def platforms(self) -> list[str]:
        """Platform tags of wheels, the newest first."""
        tags = [f"manylinux_2_{minor}_{self.machine}" for minor in reversed(GLIBC_MINORS)]
        return [*tags, f"manylinux2014_{self.machine}"]


TARGETS = tuple(Target(machine, python) for machine in ("x86_64", "aarch64") for python in ("3.10", "3.12"))


def collect(wheel: Path, target: Target, constraints: Path, folder: Path, epoch: int) -> list[Path]:
    """Download the wheels of the project's wheel and of all that it needs on a target; returns them sorted.

    The index's hashes are demanded of each file. Raises BuildError.
    """
    folder.mkdir(parents=True)
    needs = folder / "needs.txt"
    needs.write_text(f"edge-inspect[{','.join(EXTRAS)}] @ {wheel.resolve().as_uri()}\npip\n", encoding="utf-8")
    locked = run(_resolver(needs, target, constraints), folder)
    needs.unlink()
    entries = [entry for entry in re.split(r"\n(?=\S)", locked.strip()) if not entry.startswith("edge-inspect")]
    from_source = [entry for entry in entries if entry.split("==")[0] in SOURCE_ONLY]
    _fetch([entry for entry in entries if entry not in from_source], folder, ["download", *_tags(target)])
    _fetch(from_source, folder, ["wheel", "--no-binary", ",".join(SOURCE_ONLY)], SOURCE_DATE_EPOCH=str(epoch))
    (folder / wheel.name).write_bytes(wheel.read_bytes())
    return sorted(folder.glob("*.whl"))


def requirements(wheels: list[Path]) -> str:
    """List these wheels with their hashes, as `pip install --require-hashes` reads it; pip itself only installs."""
    lines = []
    for wheel in (wheel for wheel in wheels if not wheel.name.startswith("pip-")):
        name, version, *_ = wheel.name.split("-")
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        lines.append(f"{name.replace('_', '-')}=={version} --hash=sha256:{digest}\n")
    return "".join(lines)


def _resolver(needs: Path, target: Target, constraints: Path) -> list[str]:
    """Command that resolves for another machine; pip itself evaluates environment markers for its own machine."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", str(needs)]
    command += ["--constraint", str(constraints), "--generate-hashes", "--python-version", target.python]
    return [*command, "--python-platform", f"{target.machine}-manylinux_2_28"]


def _tags(target: Target) -> list[str]:
    tag = f"cp{target.python.replace('.', '')}"
    tags = ["--only-binary", ":all:", "--implementation", "cp", "--python-version", target.python]
    tags += [word for abi in (tag, "abi3", "none") for word in ("--abi", abi)]
    return tags + [word for platform in target.platforms for word in ("--platform", platform)]


def _fetch(entries: list[str], folder: Path, action: list[str], **environment: str) -> None:
    listed = folder / "listed.txt"
    listed.write_text("\n".join(entries) + "\n", encoding="utf-8")
    target = "--wheel-dir" if action[0] == "wheel" else "--dest"
    command = [sys.executable, "-m", "pip", *action, "--quiet", "--no-deps", "--require-hashes", target, str(folder)]
    command += ["--no-cache-dir"] if action[0] == "wheel" else []
    run([*command, "--requirement", str(listed)], folder, CC="/bin/false", PIP_CONSTRAINT=os.devnull, **environment)
    listed.unlink()
