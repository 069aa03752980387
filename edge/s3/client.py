"""Client of one bucket of an S3-compatible store. The only file that imports boto3."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from edge.config.s3 import S3Settings
from edge.errors import ServerError
from edge.forwarding.secret import read_password

CONNECT_S = 5.0
ANSWER_S = 20.0
"""Longest wait for an answer of the store, and for each block that it takes."""
CONTENT_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".json": "application/json"}
"""Content type by suffix."""


class PictureBucket:
    """The bucket in which a station's pictures are stored; used by one thread."""

    def __init__(self, settings: S3Settings) -> None:
        self._settings = settings
        self._client: Any = None

    def open(self) -> None:
        """Connect, and look whether the bucket is there; raises ServerError."""
        settings = self._settings
        if settings.ca_file is not None and not settings.ca_file.is_file():
            raise ServerError(f"{settings.ca_file}: found no such file, expected the ca_file of [s3]")
        secret = None if settings.secret_file is None else read_password(settings.secret_file)
        with self._explained():
            if self._client is None:
                self._client = boto3.client(
                    "s3",
                    endpoint_url=settings.endpoint,
                    region_name=settings.region,
                    aws_access_key_id=settings.access_key or None,
                    aws_secret_access_key=secret,
                    verify=None if settings.ca_file is None else str(settings.ca_file),
                    config=Config(
                        connect_timeout=CONNECT_S,
                        read_timeout=ANSWER_S,
                        retries={"total_max_attempts": 1},  # the forwarder tries again
                        s3={"addressing_style": "path"},  # a plant's store has one name
                        request_checksum_calculation="when_required",  # other stores than Amazon's may refuse them
                        response_checksum_validation="when_required",
                    ),
                )
            self._client.head_bucket(Bucket=settings.bucket)

    def put(self, name: str, path: Path) -> None:
        """Store a file under a name below the station's; one that is there is replaced.

        Raises ServerError, and OSError if the file cannot be read.
        """
        with path.open("rb") as file, self._explained():
            self._client.put_object(
                Bucket=self._settings.bucket,
                Key=f"{self._settings.folder}{name}",
                Body=file,
                ContentType=CONTENT_TYPES.get(path.suffix, "application/octet-stream"),
            )

    def close(self) -> None:
        """Disconnect."""
        if self._client is not None:
            self._client.close()
            self._client = None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (BotoCoreError, ClientError) as error:
            settings = self._settings
            raise ServerError(
                f"S3 store {settings.endpoint}, bucket {settings.bucket}: {error}; check the store, address, bucket, "
                "certificate and access key"
            ) from None
