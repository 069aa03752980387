"""The tables `[release]` and `[trial]` of `line.toml`."""

from pathlib import Path

from pydantic import Field

from edge.config.schema import LineTable


class ReleaseSettings(LineTable):
    """Signed bundles: the station opens only bundles that are signed with one of these keys, at its start, on a reload
    and on a changeover. `edge-export sign` signs; `edge-inspect release` brings a bundle to the line."""

    keys: tuple[Path, ...] = Field(min_length=1)
    """Files of the public Ed25519 keys, in PEM format."""


class TrialSettings(LineTable):
    """Trial of a candidate: a child process with the lowest priority judges the same frames after each result is sent.
    Its verdicts are recorded and reach neither the PLC nor the ejector; `edge-inspect trial report` compares them."""

    bundle: Path
    """Folder of the candidate bundle."""
