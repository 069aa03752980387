"""Inventory of the wheels of a package: CycloneDX SBOM and third-party notices, both from the wheels' own metadata."""

import hashlib
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

LICENCE_FILE = re.compile(r"(licen[cs]e|copying|notice|third.?party)[^/]*$", re.IGNORECASE)
NO_LICENCE = "not stated"


@dataclass(frozen=True)
class WheelMetadata:
    """Metadata of a wheel."""

    name: str
    version: str
    licence: str
    """Licence expression (PEP 639), else the licence's classifiers, else the first line of the field License."""
    sha256: str
    texts: tuple[tuple[str, str], ...]
    """Name and content of each licence file."""


def read_wheel(wheel: Path) -> WheelMetadata:
    """Read name, version, licence and licence files of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        names = sorted(archive.namelist())
        place = next(name for name in names if name.count("/") == 1 and name.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(archive.read(place))
        files = [name for name in names if LICENCE_FILE.search(name) and not name.endswith((".py", ".pyc", "/"))]
        texts = tuple((name, archive.read(name).decode("utf-8", "replace")) for name in files)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return WheelMetadata(str(metadata["Name"]), str(metadata["Version"]), _licence(metadata), digest, texts)


def _licence(metadata: Message) -> str:
    if expression := metadata["License-Expression"]:
        return str(expression)
    found = [str(line) for line in metadata.get_all("Classifier", []) if str(line).startswith("License ::")]
    if found:
        return " and ".join(line.rpartition(" :: ")[2] for line in found)
    return str(metadata["License"] or NO_LICENCE).strip().splitlines()[0]


def sbom(wheels: list[WheelMetadata], subject: str, epoch: int) -> str:
    """Write the bill of materials in CycloneDX 1.6 (JSON); the same wheels give the same text."""
    bom = Bom(serial_number=uuid5(NAMESPACE_URL, subject + "".join(wheel.sha256 for wheel in wheels)))
    bom.metadata.timestamp = datetime.fromtimestamp(epoch, timezone.utc)
    bom.metadata.component = Component(type=ComponentType.APPLICATION, name=subject, bom_ref=subject)
    references = []
    for wheel in wheels:
        component = Component(
            type=ComponentType.LIBRARY,
            name=wheel.name,
            version=wheel.version,
            bom_ref=f"{wheel.name}=={wheel.version}",
            purl=PackageURL("pypi", name=wheel.name.lower().replace("_", "-"), version=wheel.version),
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=wheel.sha256)],
            licenses=[] if wheel.licence == NO_LICENCE else [DisjunctiveLicense(name=wheel.licence)],
        )
        bom.components.add(component)
        references.append(component)
    bom.register_dependency(bom.metadata.component, references)
    return str(JsonV1Dot6(bom).output_as_string(indent=1)) + "\n"


def notices(wheels: list[WheelMetadata]) -> str:
    """Collect the licences of all wheels, with the texts that they carry."""
    return "".join(_notice(wheel) for wheel in wheels)


def _notice(wheel: WheelMetadata) -> str:
    def lines() -> Iterator[str]:
        yield f"{'=' * 80}\n{wheel.name} {wheel.version}: {wheel.licence}\n"
        for name, text in wheel.texts:
            yield f"{'-' * 80}\n{name}\n\n{text.strip()}\n"

    return "".join(lines())
