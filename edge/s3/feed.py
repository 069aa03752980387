"""Feed of the upload of pictures: its process, and the alarm `S3`."""

from edge.config.line import Line
from edge.config.s3 import S3Settings
from edge.forwarding.feed import ForwardingFeed
from edge.forwarding.messages import ForwardingTask
from edge.servers.process_feed import check_packages


class PictureFeed(ForwardingFeed):
    """Runs and updates the upload of pictures."""

    table, alarm, module = "s3", "S3", "edge.s3.process"

    def _check(self) -> None:
        check_boto3()


def picture_task(line: Line, settings: S3Settings) -> ForwardingTask:
    """Return the task of the upload of a line's pictures."""
    assert line.pictures is not None  # checked with the line
    return ForwardingTask(
        settings=settings.model_dump_json(), records=line.records.resolve(), pictures=line.pictures.folder.resolve()
    )


def check_boto3() -> None:
    """Check that the package of the client is installed; raises ServerError."""
    check_packages(("boto3",), "s3")
