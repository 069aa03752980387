"""Plans: found, rebuilt with the reason said, thrown away when they are not what they should be."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bundle import Bundle, GoldenMismatch, load_bundle
from edge.engines.tensorrt_.build import PlanBuilder, open_checked
from edge.engines.tensorrt_.plan_cache import PlanCache
from edge.engines.tensorrt_.plan_key import BuildOptions, PlanTarget
from edge.engines.tensorrt_.preprocess_kernel import file_name
from edge.errors import EngineError, PlanRefused
from tests.conftest import grey_frame
from tests.edge.engines.tensorrt_.recording_driver import RecordingDriver, TinyNetwork

ORIN = PlanTarget(gpu="Orin", compute_capability="8.7")


class Foundry:
    """A double of `TensorRt`: numbers its plans, refuses some, and gives wrong answers from others."""

    edition = "tensorrt"

    def __init__(self, driver: RecordingDriver, version: str = "tensorrt 10.3.0") -> None:
        self.version, self.driver = version, driver
        self.built = 0
        self.timings: list[bytes | None] = []
        self.refused: set[bytes] = set()
        self.wrong: set[bytes] = set()

    def build(self, order, log, timings, progress) -> tuple[bytes, bytes | None, float]:
        self.built += 1
        self.timings.append(timings)
        log.write("Layers:\n")
        return b"plan %d" % self.built, b"measured %d" % self.built, 61.5

    def load(self, plan, manifest, batch) -> TinyNetwork:
        if plan in self.refused:
            raise PlanRefused("plan: refused as asked")
        return TinyNetwork(self.driver, manifest, batch, wrong=50 if plan in self.wrong else 0)


@pytest.fixture
def bundle(make_bundle: Callable[..., Path]) -> Bundle:
    bundle = load_bundle(make_bundle())
    with_kernel(PlanCache.of(bundle), "sm_87", "sm_110")
    return bundle


def with_kernel(cache: PlanCache, *architectures: str) -> None:
    """Put a kernel there; the recording driver needs none that runs, and the test no compiler."""
    for architecture in architectures:
        cache.write(file_name(architecture), b"cubin")


def plan(bundle: Bundle, foundry: Foundry, said: list[str], target: PlanTarget = ORIN, batch: int = 1, **options: int):
    return PlanBuilder(foundry, target, BuildOptions(**options), say=said.append).plan(bundle, batch)


def test_a_plan_is_built_once_and_found_again(bundle: Bundle) -> None:
    foundry, said = Foundry(RecordingDriver()), []

    plans = [plan(bundle, foundry, said) for _ in range(2)]

    assert plans == [(b"plan 1", True), (b"plan 1", False)]
    assert "because: there is none in" in said[0]
    assert "built in 61.5 s" in said[1]
    assert "plan found" in said[2]


def test_it_lies_beside_the_bundle_never_inside(bundle: Bundle) -> None:
    before = sorted(bundle.folder.rglob("*"))
    plan(bundle, Foundry(RecordingDriver()), [])

    folder = bundle.folder.parent / "tiny.engines"
    assert sorted(bundle.folder.rglob("*")) == before
    assert {path.suffix for path in folder.glob("sm_87-batch1-*")} == {".plan", ".json", ".log"}
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in folder.iterdir())


def test_the_cache_may_be_elsewhere(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_INSPECT_CACHE", str(tmp_path / "cache"))
    plan(bundle, Foundry(RecordingDriver()), [])

    assert len(list((tmp_path / "cache" / "tiny.engines").glob("*.plan"))) == 1


@pytest.mark.parametrize(
    ("version", "target", "batch", "options", "reason"),
    [
        ("tensorrt 10.16.2", ORIN, 1, {}, "TensorRT version: found tensorrt 10.3.0, expected tensorrt 10.16.2"),
        (
            "tensorrt 10.3.0",
            PlanTarget(gpu="Orin Nano", compute_capability="8.7"),
            1,
            {},
            "GPU: found Orin, expected Orin N",
        ),
        (
            "tensorrt 10.3.0",
            PlanTarget(gpu="Orin", compute_capability="11.0"),
            1,
            {},
            "compute capability: found 8.7, expected 11.0",
        ),
        ("tensorrt 10.3.0", ORIN, 2, {}, "batch: found 1, expected 2"),
        ("tensorrt 10.3.0", ORIN, 1, {"workspace_mib": 256}, "options: found {'workspace_mib': 1024"),
    ],
    ids=["version", "gpu", "compute capability", "batch", "options"],
)
def test_it_is_rebuilt_for_each_reason(
    bundle: Bundle, version: str, target: PlanTarget, batch: int, options: dict[str, int], reason: str
) -> None:
    plan(bundle, Foundry(RecordingDriver()), [])
    said: list[str] = []

    _, fresh = plan(bundle, Foundry(RecordingDriver(), version), said, target, batch, **options)

    assert fresh
    assert f"because: {reason}" in said[0]


def test_it_is_rebuilt_for_another_network(bundle: Bundle, make_bundle: Callable[..., Path]) -> None:
    plan(bundle, Foundry(RecordingDriver()), [])
    said: list[str] = []
    bundle.model.write_bytes(b"another")
    files = {**bundle.manifest.files, "model.onnx": hashlib.sha256(b"another").hexdigest()}
    other = replace(bundle, manifest=bundle.manifest.model_copy(update={"files": files}))  # in the same folder

    _, fresh = plan(other, Foundry(RecordingDriver()), said)

    assert fresh
    assert "because: ONNX hash: found" in said[0]


@pytest.mark.parametrize("suffix", ["plan", "json"])
@pytest.mark.parametrize("content", [b"", b"{}", b"plan 1 and more"], ids=["empty", "braces", "longer"])
def test_a_damaged_plan_is_thrown_away(bundle: Bundle, suffix: str, content: bytes) -> None:
    foundry, said = Foundry(RecordingDriver()), []
    plan(bundle, foundry, said)
    next(PlanCache.of(bundle).folder.glob(f"*.{suffix}")).write_bytes(content)

    assert plan(bundle, foundry, said) == (b"plan 2", True)
    assert "was damaged" in said[-2] or "could not be read" in said[-2]


@pytest.mark.parametrize("suffix", ["plan", "json"])
def test_a_pipe_in_the_place_of_a_plan_is_not_waited_for(bundle: Bundle, suffix: str) -> None:
    foundry, said = Foundry(RecordingDriver()), []
    plan(bundle, foundry, said)
    path = next(PlanCache.of(bundle).folder.glob(f"*.{suffix}"))
    path.unlink()
    os.mkfifo(path)
    assert plan(bundle, foundry, said) == (b"plan 2", True)
    assert plan(bundle, foundry, said) == (b"plan 2", False)


def test_timings_of_an_earlier_build_are_used(bundle: Bundle) -> None:
    foundry = Foundry(RecordingDriver())
    plan(bundle, foundry, [])
    plan(bundle, foundry, [], batch=2)

    assert foundry.timings == [None, b"measured 1"]


def opened(bundle: Bundle, foundry: Foundry, said: list[str]):
    builder = PlanBuilder(foundry, ORIN, say=said.append)

    def make_driver() -> RecordingDriver:
        foundry.driver = RecordingDriver()
        return foundry.driver

    return open_checked(bundle, builder, make_driver)


def test_a_plan_that_agrees_goes_on_line(bundle: Bundle) -> None:
    foundry = Foundry(RecordingDriver())
    engine = opened(bundle, foundry, [])

    assert engine.begin([grey_frame(spot=255)])()[0][0, 0] == pytest.approx(1.0)
    assert engine.description == "numpy on recording device, fp32"
    engine.close()


@pytest.mark.parametrize("fault", ["refused", "wrong"])
def test_a_bad_plan_out_of_the_cache_is_thrown_away_and_built_again(bundle: Bundle, fault: str) -> None:
    foundry, said = Foundry(RecordingDriver()), []
    plan(bundle, foundry, [])
    getattr(foundry, fault).add(b"plan 1")

    engine = opened(bundle, foundry, said)

    assert foundry.built == 2
    assert "discarded, because: " in said[1]
    engine.close()


@pytest.mark.parametrize(("fault", "error"), [("refused", PlanRefused), ("wrong", GoldenMismatch)])
def test_a_bad_plan_that_was_just_built_is_never_used(bundle: Bundle, fault: str, error: type[Exception]) -> None:
    foundry = Foundry(RecordingDriver())
    getattr(foundry, fault).add(b"plan 1")

    with pytest.raises(error):
        opened(bundle, foundry, [])

    assert not list(PlanCache.of(bundle).folder.glob("*.plan"))
    assert foundry.driver.closed
    assert not foundry.driver.memory


def test_a_kernel_that_computes_otherwise_is_found_out(bundle: Bundle) -> None:
    class Blurred(RecordingDriver):
        """Its kernel makes another input than `preprocess`."""

        def _preprocess(self, channels: int, *arguments: int) -> None:
            super()._preprocess(channels, *arguments)
            made, height, width = arguments[6:]
            self.view(made, height * width)[:] //= 2

    foundry = Foundry(RecordingDriver())

    def make_driver() -> RecordingDriver:
        foundry.driver = Blurred()
        return foundry.driver

    with pytest.raises(EngineError, match="grey levels away from the bundle's preprocessing"):
        open_checked(bundle, PlanBuilder(foundry, ORIN, say=lambda line: None), make_driver)
    assert foundry.driver.closed


def test_a_cache_that_cannot_be_written_is_said_in_one_line(bundle: Bundle) -> None:
    cache = PlanCache(bundle.model / "engines")  # below a file

    with pytest.raises(EngineError, match=r"cannot be written .*EDGE_INSPECT_CACHE"):
        cache.write("x", b"")


def test_a_bundle_in_a_folder_that_is_read_only_names_the_way_out(bundle: Bundle, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("EDGE_INSPECT_CACHE", str(tmp_path / "file"))  # a folder below a file cannot be made

    with pytest.raises(EngineError, match=r"cannot be written .*EDGE_INSPECT_CACHE"):
        plan(bundle, Foundry(RecordingDriver()), [])
