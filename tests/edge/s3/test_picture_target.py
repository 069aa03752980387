"""Stored pictures of a station reach an S3 store, whatever is away or killed in between."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

pytest.importorskip("boto3", reason="the upload of pictures needs edge-inspect[s3]")

from edge.commands.doctor import check_s3, find
from edge.config.s3 import S3Settings
from edge.forwarding.forwarder import Forwarder
from edge.forwarding.messages import ForwardingTask
from edge.forwarding.row_source import read_batch
from edge.records.database import connect
from edge.s3.target import BATCH_ROWS, PictureTarget
from edge.servers.channel import write_message
from edge.servers.state import StateUpdate
from tests.edge.forwarding.records_doubles import insert
from tests.edge.forwarding.waiting import PATIENCE_S, free_port, wait_for
from tests.edge.page.doubles import Clock, station
from tests.edge.s3.store import BUCKET, KEY, SECRET, Store


@pytest.fixture(scope="module")
def running_store() -> Iterator[Store]:
    with closing(Store()) as store:
        yield store


@pytest.fixture
def store(running_store: Store) -> Store:
    running_store.clear()
    return running_store


class Plant:
    """Records and pictures of a station, and its settings."""

    def __init__(self, folder: Path, endpoint: str, **keys: object) -> None:
        self.records, self.pictures = folder / "records.sqlite", folder / "pictures"
        (folder / "secret").write_text(SECRET)
        (folder / "secret").chmod(0o600)
        required = {"endpoint": endpoint, "bucket": BUCKET, "station": "line3", "prefix": "plant/glaze"}
        key = {"access_key": KEY, "secret_file": folder / "secret"}
        self.settings = S3Settings.model_validate({**required, **key, **keys})
        self.task = ForwardingTask(
            settings=self.settings.model_dump_json(), records=self.records, pictures=self.pictures
        )

    def store_picture(self, number: int, overlay: str | None = None) -> str:
        """Keep a frame of a row, as the picture store does; with an overlay of this suffix, and its outlines."""
        name = f"2026-03-01/reject/{number}.png"
        contents = {name: b"frame"}
        if overlay is not None:
            contents |= {f"overlays/{name}{overlay}": b"overlay", f"overlays/{name}.json": b"[]"}
        for place, content in contents.items():
            (self.pictures / place).parent.mkdir(parents=True, exist_ok=True)
            (self.pictures / place).write_bytes(content + b" %d" % number)
        self.note(number, name)
        return name

    def note(self, number: int, name: str) -> None:
        with closing(connect(self.records)) as connection, connection:
            connection.execute("UPDATE views SET picture = ? WHERE part = ?", (name, number))

    def step(self, target: PictureTarget) -> None:
        """Read and send everything once more, as the forwarder does."""
        progress = target.open()
        while True:
            batch = read_batch(self.records, progress, target.batch_rows)
            target.send(batch)
            progress = batch.progress
            if batch.complete:
                return


@pytest.fixture
def plant(store: Store, tmp_path: Path) -> Plant:
    return Plant(tmp_path, store.endpoint)


@pytest.fixture
def forward(plant: Plant) -> Iterator[Callable[[], Forwarder]]:
    started = []

    def start() -> Forwarder:
        started.append(Forwarder(PictureTarget(plant.task, settle_s=0.0), plant.records, retry_s=0.05))
        started[-1].start()
        return started[-1]

    yield start
    for forwarder in started:
        forwarder.stop(PATIENCE_S)


def test_frames_overlays_and_outlines_are_stored_under_the_name_of_the_station(
    plant: Plant, store: Store, forward: Callable[[], Forwarder]
) -> None:
    insert(plant.records, 1, 2, 3, 4)
    plant.store_picture(1)
    plant.store_picture(3, overlay=".jpg")
    plant.store_picture(4, overlay="")  # of an earlier version
    forward()
    wait_for(lambda: len(store.objects()) == 7)

    day = "2026-03-01/reject"
    assert store.objects() == {
        f"plant/glaze/line3/{day}/1.png": b"frame 1",
        f"plant/glaze/line3/{day}/3.png": b"frame 3",
        f"plant/glaze/line3/overlays/{day}/3.png.jpg": b"overlay 3",
        f"plant/glaze/line3/overlays/{day}/3.png.json": b"[] 3",
        f"plant/glaze/line3/{day}/4.png": b"frame 4",
        f"plant/glaze/line3/overlays/{day}/4.png": b"overlay 4",
        f"plant/glaze/line3/overlays/{day}/4.png.json": b"[] 4",
    }
    assert store.content_type(f"plant/glaze/line3/{day}/1.png") == "image/png"
    assert store.content_type(f"plant/glaze/line3/overlays/{day}/3.png.jpg") == "image/jpeg"


def test_a_picture_that_is_stored_after_its_row_was_read_is_uploaded(plant: Plant, store: Store) -> None:
    clock = Clock()
    insert(plant.records, 1)
    target = PictureTarget(plant.task, clock, settle_s=30.0)
    with closing(target):
        progress = target.open()
        batch = read_batch(plant.records, progress, target.batch_rows)
        target.send(batch)
        plant.store_picture(1)
        nothing_new = read_batch(plant.records, batch.progress, target.batch_rows)
        target.send(nothing_new)
        assert store.objects() == {}
        clock.now += 30.0
        target.send(nothing_new)

        assert [*store.objects().values()] == [b"frame 1"]


def test_what_was_uploaded_is_not_uploaded_again(plant: Plant, store: Store) -> None:
    insert(plant.records, 1)
    plant.store_picture(1)
    with closing(PictureTarget(plant.task, settle_s=0.0)) as target:
        plant.step(target)
    store.clear()
    insert(plant.records, 2)
    plant.store_picture(2)
    with closing(PictureTarget(plant.task, settle_s=0.0)) as target:
        plant.step(target)

    assert [*store.objects().values()] == [b"frame 2"]


def test_rows_that_wait_are_bounded(plant: Plant, store: Store) -> None:
    """Many rows are on disk already, as after an outage: the first ones do not wait for their time."""
    insert(plant.records, *range(1, 6 * BATCH_ROWS + 1))
    for number in (1, 6 * BATCH_ROWS):
        plant.store_picture(number)
    target = PictureTarget(plant.task, Clock(), settle_s=1e9, settle_rows=2 * BATCH_ROWS)
    plant.step(target)

    assert [*store.objects().values()] == [b"frame 1"]
    target.close()
    assert len(store.objects()) == 2


def test_a_killed_process_costs_no_picture(plant: Plant, store: Store, forward: Callable[[], Forwarder]) -> None:
    insert(plant.records, 1, 2)
    plant.store_picture(1)
    process = subprocess.Popen([sys.executable, "-m", "edge.s3.process"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    write_message(process.stdin, plant.task)
    write_message(process.stdin, StateUpdate(station=station()))
    wait_for(lambda: plant.records.with_name("records.s3.json.lock").exists())
    process.kill()
    process.communicate()
    plant.store_picture(2)
    forward()
    wait_for(lambda: sorted(store.objects().values()) == [b"frame 1", b"frame 2"])


def test_a_store_that_is_away_costs_no_picture(tmp_path: Path) -> None:
    port = free_port()
    plant = Plant(tmp_path, f"http://127.0.0.1:{port}", bucket="later")
    insert(plant.records, 1)
    plant.store_picture(1)
    forwarder = Forwarder(PictureTarget(plant.task, settle_s=0.0), plant.records, retry_s=0.05)
    forwarder.start()
    wait_for(lambda: f"S3 store http://127.0.0.1:{port}, bucket later: Could not connect" in forwarder.problem)
    with closing(Store(port, "later")) as store:
        wait_for(lambda: [*store.objects().values()] == [b"frame 1"])
        forwarder.stop(PATIENCE_S)

    assert forwarder.problem == ""


def test_a_picture_that_is_pruned_or_outside_the_folder_is_passed_over(plant: Plant, store: Store) -> None:
    insert(plant.records, 1, 2, 3)
    (plant.pictures / plant.store_picture(1)).unlink()
    plant.note(2, "../secret")
    plant.store_picture(3)
    with closing(PictureTarget(plant.task, settle_s=0.0)) as target:
        plant.step(target)

    assert [*store.objects().values()] == [b"frame 3"]


def test_the_doctor_looks_for_the_bucket(plant: Plant, store: Store, tmp_path: Path) -> None:
    found = find("S3", lambda: check_s3(plant.settings))
    assert (found.fine, found.words) == (True, f"{store.endpoint} has the bucket quality")

    missing = find("S3", lambda: check_s3(plant.settings.model_copy(update={"bucket": "missing"})))
    assert not missing.fine
    assert f"S3 store {store.endpoint}, bucket missing: " in missing.words
    assert "(404)" in missing.words
    assert SECRET not in missing.words
