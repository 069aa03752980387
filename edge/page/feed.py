"""Feed of the page: its state four times a second, the parts, and the pictures of some of them."""

from collections.abc import Callable

from bundle import Manifest
from edge.access.certificate import load_identity
from edge.access.passwords import check_argon2
from edge.alarms import Alarms
from edge.config.page import PageSettings
from edge.errors import AccessError, ServerError
from edge.page.state import StationInfo, ViewPicture
from edge.part import Part
from edge.records.overlay import view_jpeg
from edge.servers.channel import ServerPipe, write_message
from edge.servers.feed import ServerFeed
from edge.servers.outbox import Outbox
from edge.servers.process_feed import RETRY_S, check_packages
from edge.servers.state import StateUpdate, StationState

NEEDED = ("fastapi", "uvicorn", "prometheus_client")


class Feed(ServerFeed):
    """Runs and updates the page."""

    table, alarm, module, scheme = "page", "page", "edge.page.server", "http"

    def __init__(
        self,
        settings: PageSettings,
        outbox: Outbox,
        station: Callable[[], StationState],
        manifest: Callable[[], Manifest],
        welcome: Callable[[], StationInfo],
        alarms: Alarms,
        retry_s: float = RETRY_S,
    ) -> None:
        """`station`: current state. `manifest`: of the bundle in use. `welcome`: first message of a new page."""
        self._outbox, self._station, self._manifest, self._welcome = outbox, station, manifest, welcome
        if settings.certificate is not None:
            self.scheme = "https"
        self._settings = settings
        super().__init__(settings.listen, alarms, retry_s)

    def _check(self) -> None:
        check_page_packages()
        certificate, key = self._settings.certificate, self._settings.key
        try:
            if self._settings.users is not None:
                check_argon2()
            if certificate is not None and key is not None:
                load_identity(certificate, key)
        except AccessError as error:
            raise ServerError(str(error)) from None

    def _begin(self, pipe: ServerPipe) -> None:
        self._outbox.take()  # earlier parts are in the records
        write_message(pipe, self._welcome())

    def _update(self, pipe: ServerPipe) -> None:
        parts, pictured = self._outbox.take()
        for part in () if self._stop.is_set() else pictured:
            self._draw(pipe, part)
        write_message(pipe, StateUpdate(station=self._station(), parts=parts))

    def _draw(self, pipe: ServerPipe, part: Part) -> None:
        manifest = self._manifest()
        for view in part.views if part.bundle_id == manifest.id else ():
            picture = view_jpeg(view, manifest)
            if picture is not None:
                write_message(pipe, ViewPicture(number=part.number, camera=view.camera), picture)


def check_page_packages() -> None:
    """Check that the packages of the page are installed; raises ServerError."""
    check_packages(NEEDED, "page")
