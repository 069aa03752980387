"""Feed of the central records: their process, and the alarm `central records`."""

from edge.config.central import CentralSettings
from edge.config.line import Line
from edge.forwarding.feed import ForwardingFeed
from edge.forwarding.messages import ForwardingTask
from edge.servers.process_feed import check_packages


class CentralFeed(ForwardingFeed):
    """Runs and updates the writer of the central records."""

    table, alarm, module = "central", "central records", "edge.central.process"

    def _check(self) -> None:
        check_psycopg()


def central_task(line: Line, settings: CentralSettings) -> ForwardingTask:
    """Return the task of the writer of a line's rows."""
    return ForwardingTask(settings=settings.model_dump_json(), records=line.records.resolve())


def check_psycopg() -> None:
    """Check that the package of the database is installed; raises ServerError."""
    check_packages(("psycopg",), "central")
