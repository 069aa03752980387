"""The start of a station loads only what its line needs."""

from pathlib import Path

from tests.loaded_modules import loaded_by

UNNEEDED = (
    *(
        "asyncio",
        "asyncua",
        "cryptography",
        "fastapi",
        "gi",
        "harvesters",
        "matplotlib",
        "onnx",
        "onnxruntime",
        "openvino",
    ),
    *("prometheus_client", "pyarrow", "pymodbus", "serial", "sklearn", "snap7", "tensorrt", "torch", "uvicorn"),
)
"""Packages of single devices, engines and servers, and those of the workstation."""


def test_run_loads_no_package_of_a_device_before_the_line_is_read(tmp_path: Path) -> None:
    told, loaded = loaded_by("edge.cli", ["run", str(tmp_path / "missing.toml")], (*UNNEEDED, "edge.signal_events"))

    assert "missing.toml" in told
    assert loaded == ["edge.signal_events"]
