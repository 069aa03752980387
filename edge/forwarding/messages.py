"""Messages between the station and a forwarder's process."""

from pathlib import Path

from edge.config.challenge import ChallengeSettings
from edge.servers.state import ServerMessage


class ForwardingTask(ServerMessage):
    """First message to a forwarder, with the settings of its table as JSON."""

    settings: str
    records: Path
    pictures: Path | None = None
    """Folder of the stored pictures, for a forwarder of pictures."""
    challenge: ChallengeSettings = ChallengeSettings()
    recipes: tuple[int, ...] = ()


class ForwarderAnswer(ServerMessage):
    """Answer of a forwarder to each update."""

    problem: str = ""
    """Problem that stops the forwarding; empty without one."""
    changeovers: tuple[int, ...] = ()
    """Recipes that were requested since the last answer."""
