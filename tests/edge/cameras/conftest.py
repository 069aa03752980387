"""Makes the peers' fixtures known here."""

from tests.edge.cameras.peers import gi_path

__all__ = ["gi_path"]
