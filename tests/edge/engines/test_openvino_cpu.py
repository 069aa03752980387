"""The OpenVINO engine beyond the contract: its cache, its precision, and what it keeps to itself."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bundle import Bundle, load_bundle
from edge.engines.engine_cache import EngineCache
from edge.errors import EngineError
from tests.conftest import grey_frame, tiny_outputs

MODELS = Path(__file__).parents[3] / "models"

openvino_cpu = pytest.importorskip(
    "edge.engines.openvino_cpu", reason="OpenVINO is not installed: pip install 'edge-inspect[openvino]'"
)


@pytest.fixture
def bundle(make_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.delenv("EDGE_INSPECT_CACHE", raising=False)
    return load_bundle(make_bundle())


def kept(bundle: Bundle) -> list[Path]:
    return sorted(EngineCache.of(bundle).folder.glob("openvino-*.blob"))


def check(bundle: Bundle) -> None:
    """Open the engine on the bundle, with the outputs of the tiny network."""
    engine = openvino_cpu.open_openvino(bundle, 1, 1)
    inputs = np.stack([grey_frame(), grey_frame(spot=255)])[:, np.newaxis]
    try:
        assert np.allclose(engine.infer(inputs)[0], tiny_outputs(inputs)[0], atol=1e-6)
    finally:
        engine.close()


def test_the_compiled_network_is_kept_beside_the_bundle_and_found_again(bundle: Bundle) -> None:
    check(bundle)
    (blob,) = kept(bundle)
    written = blob.stat().st_mtime_ns

    check(bundle)

    assert [blob.stat().st_mtime_ns] == [written]
    assert kept(bundle) == [blob]


def test_another_number_of_threads_is_compiled_apart(bundle: Bundle) -> None:
    for threads in (1, 2, None):
        openvino_cpu.open_openvino(bundle, threads, 1).close()

    assert len(kept(bundle)) == 3


def test_a_damaged_entry_is_compiled_again(bundle: Bundle) -> None:
    check(bundle)
    (blob,) = kept(bundle)
    whole = blob.read_bytes()
    blob.write_bytes(whole[:-1000])

    check(bundle)

    assert len(blob.read_bytes()) > len(whole) - 1000


def test_an_entry_that_openvino_refuses_is_compiled_again(bundle: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    check(bundle)
    (blob,) = kept(bundle)
    blob.write_bytes(hashlib.sha256(b"no network").digest() + b"no network")

    check(bundle)

    assert "compiled again" in caplog.text
    assert len(blob.read_bytes()) > 1000


def test_a_cache_that_cannot_be_written_is_no_obstacle(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("EDGE_INSPECT_CACHE", str(tmp_path / "file"))

    check(bundle)


def test_a_graph_that_openvino_cannot_read_is_one_line(bundle: Bundle) -> None:
    class Other(Bundle):
        """Its graph is no graph."""

        def read_model(self) -> bytes:
            return b"no graph"

    other = Other(bundle.folder, bundle.manifest, bundle.golden)
    with pytest.raises(EngineError, match=r"model\.onnx: OpenVINO cannot load it") as refused:
        openvino_cpu.open_openvino(other, 1, 1)

    assert "\n" not in str(refused.value)


def test_an_int8_bundle_is_refused() -> None:
    """Its golden frames agree, the scores of other pictures differ by up to 0.8."""
    with pytest.raises(EngineError, match="found an INT8 bundle, expected fp32"):
        openvino_cpu.open_openvino(load_bundle(MODELS / "demo-tiles-int8"), 1, 1)


def test_the_import_reports_nothing_to_anybody() -> None:
    listing = "import sys, edge.engines.openvino_cpu; print([name for name in sys.modules if 'telemetry' in name])"

    found = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True, timeout=600)

    assert found.stdout.strip() == "[]"
