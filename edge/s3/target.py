"""S3 store as the target of a forwarder: the stored pictures of each part, the progress in a file of its own.

A picture is noted in a part's row after the row was written. So each row is read again after `SETTLE_S`, and its
pictures are uploaded then; the progress counts rows whose pictures are in the store. A picture that has been pruned is
passed over.
"""

from collections import deque
from collections.abc import Callable, Iterator
from time import monotonic
from typing import NamedTuple

from bundle import os_problem
from edge.config.s3 import S3Settings
from edge.errors import ServerError
from edge.forwarding.messages import ForwardingTask
from edge.forwarding.progress import Progress
from edge.forwarding.progress_file import ProgressFile
from edge.forwarding.row_source import VIEW_COLUMNS, RowBatch, StoredPart, read_parts
from edge.records.retention import BLOBS, DRAWN, OVERLAYS
from edge.records.stored_pictures import inside
from edge.s3.client import PictureBucket
from edge.servers.state import StationState

BATCH_ROWS = 20
"""Parts whose pictures are uploaded between two signs of life: a few seconds."""
SETTLE_S = 30.0
"""Time after which the pictures of a row are on disk."""
SETTLE_ROWS = 2000
"""Later rows after which they are, too: more than wait for a picture to be written."""
PICTURE = VIEW_COLUMNS.index("picture")


class _Waiting(NamedTuple):
    due: float
    numbers: list[int]
    progress: Progress


class PictureTarget:
    """Uploads the pictures of one station."""

    batch_rows = BATCH_ROWS

    def __init__(
        self,
        task: ForwardingTask,
        clock: Callable[[], float] = monotonic,
        settle_s: float = SETTLE_S,
        settle_rows: int = SETTLE_ROWS,
    ) -> None:
        """`settle_s` and `settle_rows`: time and rows after which a row is read again."""
        settings = S3Settings.model_validate_json(task.settings)
        assert task.pictures is not None  # such a line is refused
        self._bucket, self._records, self._folder = PictureBucket(settings), task.records, task.pictures
        self._file = ProgressFile(self._records, "s3", settings.station)
        self._clock, self._settle_s, self._settle_rows = clock, settle_s, settle_rows
        self._waiting: deque[_Waiting] = deque()
        self._rows = 0

    def open(self) -> Progress:
        """Connect, and read the progress; raises ServerError."""
        progress = self._file.read()
        self._bucket.open()
        self._waiting.clear()
        self._rows = 0
        return progress

    def send(self, batch: RowBatch) -> None:
        """Keep the rows for later, and upload the pictures of the oldest that are due; raises ServerError."""
        if batch.parts:
            numbers = [part.number for part in batch.parts]
            self._waiting.append(_Waiting(self._clock() + self._settle_s, numbers, batch.progress))
            self._rows += len(numbers)
        if self._rows > self._settle_rows or (self._waiting and self._waiting[0].due <= self._clock()):
            self._upload_oldest()

    def tell(self, state: StationState) -> None:
        """Do nothing: the store has pictures only."""

    def requested_changeovers(self) -> tuple[int, ...]:
        """Return none: the store requests nothing."""
        return ()

    def close(self) -> None:
        """Upload what waits, and disconnect; raises ServerError."""
        try:
            while self._waiting:
                self._upload_oldest()
        finally:
            self._bucket.close()
            self._file.close()

    def _upload_oldest(self) -> None:
        oldest = self._waiting[0]
        for part in read_parts(self._records, oldest.numbers):
            for name in _names(part):
                self._upload(name)
        self._file.write(oldest.progress)
        self._waiting.popleft()
        self._rows -= len(oldest.numbers)

    def _upload(self, name: str) -> None:
        if (path := inside(self._folder, name)) is None:
            return
        try:
            self._bucket.put(name, path)
        except FileNotFoundError:  # pruned a moment ago
            return
        except OSError as error:
            raise ServerError(f"picture {path}: {os_problem(error)}") from None


def _names(part: StoredPart) -> Iterator[str]:
    """Names of the frames of a part, their overlays, also those of an earlier version, and the outlines in those."""
    for view in part.views:
        if picture := view[PICTURE]:
            yield from (picture, *(f"{OVERLAYS}/{picture}{suffix}" for suffix in (DRAWN, "", BLOBS)))
