"""The table [s3] of line.toml: names fit into objects' names, and pictures do not cross a network in clear text."""

from pathlib import Path

import pytest

from edge.config.line import parse_line
from edge.config.s3 import S3Settings
from edge.errors import LineConfigError

NEAR = {"endpoint": "http://localhost:9000", "bucket": "quality", "station": "line3"}
LINE = {"bundle": "b", "plc": "serial:///dev/x", "camera": [{"address": "synthetic://"}]}


def table(keys: dict[str, object]) -> S3Settings | None:
    return parse_line({**LINE, "pictures": {}, "s3": keys}, Path("/lines/line.toml")).s3


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({**NEAR, "endpoint": "s3.plant.example"}, "'s3.plant.example' is not the address of an S3 store"),
        ({**NEAR, "endpoint": "s3://quality"}, "is not the address of an S3 store"),
        ({**NEAR, "endpoint": "https://h/quality"}, "is not the address of an S3 store"),
        ({**NEAR, "endpoint": "https://h:99999"}, "is not the address of an S3 store"),
        ({**NEAR, "endpoint": "https://me:sesame@h"}, "'h' is not the address of an S3 store"),
        ({**NEAR, "endpoint": "http://h"}, "found 'http://h' on another computer without encryption"),
        ({**NEAR, "bucket": "Quality"}, "s3.bucket"),
        ({**NEAR, "bucket": "a/b"}, "s3.bucket"),
        ({**NEAR, "station": ".."}, "s3.station"),
        ({**NEAR, "prefix": "/plant"}, "s3.prefix"),
        ({**NEAR, "access_key": "k"}, "found one of access_key and secret_file, expected both or neither"),
        ({**NEAR, "ca_file": "ca.pem"}, "found ca_file with 'http://localhost:9000', expected https://"),
        ({**NEAR, "secret": "sesame"}, "s3.secret: unknown key"),
    ],
)
def test_a_wrong_table_is_one_clear_line(keys: dict[str, object], problem: str) -> None:
    with pytest.raises(LineConfigError) as refused:
        table(keys)
    assert problem in str(refused.value)
    assert "sesame" not in str(refused.value)


def test_without_pictures_there_is_nothing_to_upload() -> None:
    with pytest.raises(LineConfigError, match=r"found \[s3\] without \[pictures\], expected both"):
        parse_line({**LINE, "s3": NEAR}, Path("/lines/line.toml"))


@pytest.mark.parametrize(("prefix", "folder"), [("", "line3/"), ("plant/glaze", "plant/glaze/line3/")])
def test_names_and_paths_are_completed(prefix: str, folder: str) -> None:
    files = {"access_key": "k", "secret_file": "s", "ca_file": "/ca.pem"}
    settings = table({**NEAR, "endpoint": "https://h:9000/", "prefix": prefix, **files})

    assert settings is not None
    assert (settings.endpoint, settings.folder) == ("https://h:9000", folder)
    assert (settings.secret_file, settings.ca_file) == (Path("/lines/s"), Path("/ca.pem"))
