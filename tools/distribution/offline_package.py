"""Offline package of a station: wheels, bundle, installer, udev rules, inventory, signed checksums in one archive."""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from edge.release.signature import CHECKSUMS_HEADER, sign_checksums
from tools.distribution.install import CHECKSUMS, RULES, TARGET
from tools.distribution.inventory import notices, read_wheel, sbom
from tools.distribution.python_packages import BuildError, write_tar
from tools.distribution.target_wheels import Target, requirements

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Release:
    """Content that all packages of one build share."""

    version: str
    epoch: int
    """Time of the commit, seconds since 1970."""
    bundle: Path
    """Bundle that every package carries."""
    key: Path | None
    """Private Ed25519 key; None leaves the packages unsigned."""


def write_package(release: Release, target: Target, wheels: list[Path], folder: Path) -> Path:
    """Write and pack the package of a target; returns the archive. Raises BuildError where two packings differ."""
    name = f"edge-inspect-{release.version}-{target.name}"
    package = folder / name
    (package / "wheels").mkdir(parents=True)
    for wheel in wheels:
        shutil.copyfile(wheel, package / "wheels" / wheel.name)
    shutil.copytree(release.bundle, package / "models" / release.bundle.name)
    for file in ("install.py", RULES):
        shutil.copyfile(HERE / file, package / file)
    read = [read_wheel(wheel) for wheel in wheels]
    content = {"version": release.version, "machine": target.machine, "python": target.python}
    texts = {
        TARGET: json.dumps(content) + "\n",
        "requirements.txt": requirements(wheels),
        "sbom.json": sbom(read, name, release.epoch),
        "THIRD-PARTY-NOTICES.txt": notices(read),
    }
    for file, text in texts.items():
        (package / file).write_text(text, encoding="utf-8")
    write_checksums(package, sorted(path for path in package.rglob("*") if path.is_file()), release)
    return _packed_twice(package, release.epoch)


def write_checksums(folder: Path, files: list[Path], release: Release) -> None:
    """List SHA-256 sums of files below a folder as `sha256sum --check` reads them, and sign the list."""
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n" for path in files]
    path = folder / CHECKSUMS
    path.write_text(f"{CHECKSUMS_HEADER}{release.version}\n" + "".join(lines), encoding="utf-8")
    if release.key is not None:
        sign_checksums(path, release.key)


def _packed_twice(package: Path, epoch: int) -> Path:
    archive, again = (package.with_name(f"{package.name}.{suffix}") for suffix in ("tar", "again"))
    for path in (archive, again):
        write_tar(package, path, epoch)
    first, second = (hashlib.sha256(path.read_bytes()).digest() for path in (archive, again))
    if first != second:
        raise BuildError(f"{archive}: found other bytes when packed again, {again}")
    again.unlink()
    return archive
