"""`edge/engines/tensorrt_/pycuda_driver.py` through the real pycuda, on a CUDA driver that is played in host memory."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge.engines.tensorrt_.preprocess_kernel import SOURCE

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def fake_driver(tmp_path: Path) -> Path:
    """A folder with a libcuda.so.1 that has every symbol that pycuda links to."""
    package = importlib.util.find_spec("pycuda")
    if package is None or package.origin is None:
        pytest.skip("pycuda is not installed: pip install pycuda, with CUDA's nvcc on the PATH")
    for tool in ("g++", "nm"):
        if shutil.which(tool) is None:
            pytest.skip(f"found no {tool}, expected it to play the CUDA driver")
    compiled = next(Path(package.origin).parent.glob("_driver*.so"))
    wanted = subprocess.run(["nm", "-D", "--undefined-only", compiled], capture_output=True, text=True, check=True)
    names = {name for line in wanted.stdout.splitlines() if (name := line.split()[-1]).startswith("cu")}
    played = Path(__file__).with_name("fake_cuda.cpp")
    others = [name for name in sorted(names) if f"CALL({name}," not in played.read_text(encoding="utf-8")]
    rest = tmp_path / "rest.c"
    rest.write_text("".join(f"int {name}(void) {{ return 801; }}\n" for name in others))  # not supported
    command = ["g++", "-std=c++17", "-O1", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", f"-I{SOURCE.parent}"]
    subprocess.run(["gcc", "-c", "-fPIC", "-w", "-o", str(tmp_path / "rest.o"), str(rest)], check=True)
    subprocess.run([*command, "-o", str(tmp_path / "libcuda.so.1"), str(played), str(tmp_path / "rest.o")], check=True)
    return tmp_path


def test_the_engine_through_pycuda(fake_driver: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-m", "tests.edge.engines.tensorrt_.on_fake_driver"],
        cwd=ROOT,
        env=os.environ | {"LD_LIBRARY_PATH": str(fake_driver)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (run.returncode, run.stdout.strip(), run.stderr) == (0, "fine", ""), run.stderr
