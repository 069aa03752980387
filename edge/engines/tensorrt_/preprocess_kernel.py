"""The preprocessing kernel, compiled with nvcc for a GPU architecture."""

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edge.engines.tensorrt_.plan_cache import PlanCache
from edge.errors import EngineError

SOURCE = Path(__file__).resolve().parent / "preprocess.cu"
NAME, SIGNATURE = "preprocess", "PiiiiiPii"
"""Name of the kernel, and its arguments in the format of the struct module; P is an address."""
BLOCK = (32, 8, 1)
"""Threads of a block: a warp along the row, for coalesced reads."""

COMPILERS = "nvcc", "/usr/local/cuda/bin/nvcc"
"""Search path of nvcc: JetPack and NVIDIA's packages install it outside of the PATH."""


def cubin(architecture: str, cache: PlanCache) -> bytes:
    """Return the compiled kernel for an architecture such as sm_87, from the cache or compiled into it.

    Raises EngineError if nvcc is missing or fails.
    """
    name = file_name(architecture)
    found = cache.read(name)
    if found is None:
        found = compiled(architecture)
        cache.write(name, found)
    return found


def file_name(architecture: str) -> str:
    """Return the file name of the compiled kernel, with a hash of its source."""
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]
    return f"preprocess-{architecture}-{digest}.cubin"


def compiled(architecture: str, compilers: Sequence[str] = COMPILERS) -> bytes:
    """Compile the kernel. Raises EngineError as `cubin`."""
    compiler = next(filter(None, map(shutil.which, compilers)), None)
    if compiler is None:
        raise EngineError(
            f"{SOURCE.name}: found neither {' nor '.join(compilers)}, expected CUDA's compiler; "
            "install it (JetPack: sudo apt install cuda-nvcc-12-6, the number as in /usr/local/cuda), or copy the "
            "engines folder of a machine that has it"
        )
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "preprocess.cubin"
        command = [compiler, "-cubin", f"-arch={architecture}", "-o", str(made), str(SOURCE)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            reason = (run.stderr or run.stdout).strip().splitlines() or ["no message"]
            raise EngineError(
                f"{SOURCE.name}: {compiler} cannot compile it for {architecture} ({reason[-1]}); "
                "does this CUDA know the GPU?"
            )
        return made.read_bytes()
