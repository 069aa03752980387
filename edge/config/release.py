"""The tables `[release]` and `[trial]` of `line.toml`."""

from pathlib import Path

from pydantic import Field

from edge.config.schema import LineTable


class ReleaseSettings(LineTable):
    """Signed bundles: the station opens only bundles that are signed with one of these keys, at its start, on a reload
    and on a changeover. `edge-export sign` signs; `edge-inspect release` brings a bundle to the line."""

    keys: tuple[Path, ...] = Field(min_length=1)
    """Files of the public Ed25519 keys, in PEM format."""
    trial_parts: int = Field(default=0, ge=0, le=1_000_000)
    """Parts that a candidate has to have judged on trial beside the bundle in force before it is released; 0 asks for
    no trial. A release without them, or of a candidate that was worse, has to be asked for by --anyway twice."""
    log_in: bool = False
    """Whether release and rollback ask for the password of an engineer, one of the `users` of `[page]`."""


class TrialSettings(LineTable):
    """Trial of a candidate: a child process with the lowest priority judges the same frames after each result is sent.
    Its verdicts are recorded and reach neither the PLC nor the ejector; `edge-inspect trial report` compares them."""

    bundle: Path
    """Folder of the candidate bundle."""
