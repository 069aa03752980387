"""An S3 store of the tests' own, moto's, in threads of this process."""

import logging

import pytest

pytest.importorskip("boto3", reason="the upload of pictures needs edge-inspect[s3]")
pytest.importorskip("moto.server", reason="moto's S3 store is not installed")
pytest.importorskip("flask_cors", reason="moto's S3 store needs flask and flask-cors")

import boto3
from moto.server import ThreadedMotoServer

KEY, SECRET = "line", "a-long-secret"
BUCKET = "quality"


class Store:
    """A store with one bucket."""

    def __init__(self, port: int = 0, bucket: str = BUCKET) -> None:
        """`port`: 0 for a free one. The stores of one process share their buckets."""
        self._bucket = bucket
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
        self._server.start()
        host, self.port = self._server.get_host_and_port()
        self.endpoint = f"http://{host}:{self.port}"
        self._client = boto3.client(
            "s3", "us-east-1", endpoint_url=self.endpoint, aws_access_key_id=KEY, aws_secret_access_key=SECRET
        )
        self._client.create_bucket(Bucket=bucket)

    def objects(self) -> dict[str, bytes]:
        """Content of each object by its name."""
        found = self._client.list_objects_v2(Bucket=self._bucket).get("Contents", [])
        return {
            each["Key"]: self._client.get_object(Bucket=self._bucket, Key=each["Key"])["Body"].read() for each in found
        }

    def content_type(self, name: str) -> str:
        """Content type of an object."""
        return str(self._client.head_object(Bucket=self._bucket, Key=name)["ContentType"])

    def clear(self) -> None:
        """Remove every object."""
        for name in self.objects():
            self._client.delete_object(Bucket=self._bucket, Key=name)

    def close(self) -> None:
        """End it."""
        self._client.close()
        self._server.stop()
