"""Feed of the OPC UA server: the state four times a second with the parts since then; its failure is an alarm."""

from collections.abc import Callable

from edge.alarms import Alarms
from edge.config.opcua import OpcUaSettings
from edge.errors import ServerError
from edge.servers.channel import ServerPipe, write_message
from edge.servers.feed import ServerFeed
from edge.servers.outbox import Outbox
from edge.servers.process_feed import HANG_S, RETRY_S, check_packages
from edge.servers.state import StateUpdate, StationState

PARTS_A_MESSAGE = 50
"""Parts that the server takes before it answers, so that a slow server is not taken for a hanging one."""


class OpcUaFeed(ServerFeed):
    """Runs and updates the OPC UA server."""

    table, alarm, module, scheme = "opcua", "OPC UA", "edge.opcua.server", "opc.tcp"

    def __init__(
        self,
        settings: OpcUaSettings,
        outbox: Outbox,
        station: Callable[[], StationState],
        alarms: Alarms,
        retry_s: float = RETRY_S,
        hang_s: float = HANG_S,
    ) -> None:
        """`station`: current state."""
        self.updates = 0
        """Number of updates that the server has taken."""
        self._settings, self._outbox, self._station = settings, outbox, station
        super().__init__(settings.listen, alarms, retry_s, hang_s)

    def _check(self) -> None:
        check_asyncua()

    def _begin(self, pipe: ServerPipe) -> None:
        self._outbox.take()  # earlier parts are in the records
        write_message(pipe, self._settings)

    def _update(self, pipe: ServerPipe) -> None:
        parts, _ = self._outbox.take()
        for first in range(0, max(1, len(parts)), PARTS_A_MESSAGE):
            told = parts[first : first + PARTS_A_MESSAGE]
            write_message(pipe, StateUpdate(station=self._station(), parts=told))
            if problem := pipe.answer():
                raise ServerError(problem)
            self.updates += 1


def check_asyncua() -> None:
    """Check that the package of the server is installed; raises ServerError."""
    check_packages(("asyncua",), "opcua")
