"""The preprocessing kernel: the same source on the CPU, beside `bundle.preprocess`; and through CUDA's compiler."""

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bundle import Crop, InputSpec, preprocess
from edge.engines.tensorrt_.plan_cache import PlanCache
from edge.engines.tensorrt_.preprocess_kernel import SOURCE, compiled, cubin
from edge.errors import EngineError

RNG = np.random.default_rng(11)

SANITIZED = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kernel as a program, with every access checked."""
    if shutil.which("g++") is None:
        pytest.skip("found no g++, expected it to compile the kernel for the CPU")
    return compile_for_cpu(SOURCE, tmp_path_factory.mktemp("kernel"))


def compile_for_cpu(source: Path, folder: Path) -> Path:
    program = folder / "kernel"
    host = Path(__file__).with_name("kernel_on_cpu.cpp")
    command = ["g++", "-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", *SANITIZED]
    subprocess.run([*command, f"-I{source.parent}", "-o", str(program), str(host)], check=True)
    return program


def run(kernel: Path, frame: np.ndarray, height: int, width: int, channels: int, red: int = 0, row_bytes: int = 0):
    """Run the kernel on the bytes of a frame [rows, columns, samples]; row_bytes: distance of the rows."""
    rows, columns, samples = frame.shape
    row_bytes = row_bytes or columns * samples
    padded = np.full((rows, row_bytes), 0xAA, np.uint8)
    padded[:, : columns * samples] = frame.reshape(rows, -1)
    content = padded.ravel()[: (rows - 1) * row_bytes + columns * samples].tobytes()
    numbers = (rows, columns, row_bytes, samples, red, channels, height, width)
    result = subprocess.run([str(kernel), *map(str, numbers)], input=content, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr.decode()[:2000]
    return np.frombuffer(result.stdout, np.uint8).reshape(channels, height, width)


def picture(kind: str, rows: int, columns: int, samples: int) -> np.ndarray:
    frame = RNG.integers(0, 256, (rows, columns, samples), dtype=np.uint8)
    if kind == "edges":
        return np.where(frame > 127, 255, 0).astype(np.uint8)
    return np.sort(frame, axis=1) if kind == "slope" else frame


SIZES = [
    *((rows, columns, 40, 31) for rows, columns in ((40, 31), (80, 62), (120, 93), (41, 32), (39, 30), (97, 211))),
    *(
        (rows, columns, 64, 48)
        for rows, columns in ((23, 120), (120, 23), (8, 8), (1, 1), (1, 300), (300, 1), (63, 49))
    ),
]


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_it_makes_what_preprocess_makes(kernel: Path, samples: int, channels: int) -> None:
    gaps: Counter[int] = Counter()
    for rows, columns, height, width in SIZES:
        for kind in ("noise", "edges", "slope"):
            frame = picture(kind, rows, columns, samples)
            expected = preprocess(
                frame.squeeze(2) if samples == 1 else frame, InputSpec(height=height, width=width, channels=channels)
            )
            gaps.update(np.abs(run(kernel, frame, height, width, channels).astype(int) - expected).ravel().tolist())

    # OpenCV averages in floating point, the kernel in integers: they part at a few halves, by one level
    assert set(gaps) <= {0, 1}
    assert gaps[1] < 0.003 * sum(gaps.values())


def test_a_real_frame_s_size(kernel: Path) -> None:
    frame = picture("noise", 1080, 1440, 3)

    made = run(kernel, frame, 400, 300, 1)

    assert np.abs(made.astype(int) - preprocess(frame, InputSpec(height=400, width=300, channels=1))).max() <= 1


def test_bgr_and_padded_rows(kernel: Path) -> None:
    rgb = picture("noise", 50, 37, 3)
    bgr = np.ascontiguousarray(rgb[..., ::-1])

    for channels in (1, 3):
        straight = run(kernel, rgb, 24, 16, channels)
        assert np.array_equal(run(kernel, bgr, 24, 16, channels, red=2), straight)
        assert np.array_equal(run(kernel, rgb, 24, 16, channels, row_bytes=128), straight)


def test_a_crop_is_a_smaller_frame_with_the_same_rows(kernel: Path) -> None:
    frame = picture("noise", 60, 50, 1)
    crop = Crop(x=10, y=20, width=30, height=25)
    part = frame[20:45, 10:40]

    made = run(kernel, part, 16, 12, 1, row_bytes=50)

    expected = preprocess(frame[..., 0], InputSpec(height=16, width=12, channels=1, crop=crop))
    assert np.abs(made.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    ("correct", "wrong", "rows", "columns"),
    [
        ("x >= width", "x > width", 80, 62),
        ("(to - 1) / made", "to / made", 80, 62),
        ("source - 1 ?", "source ?", 20, 15),
    ],
)
def test_an_access_beyond_the_end_is_seen(correct: str, wrong: str, rows: int, columns: int, tmp_path: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("found no g++, expected it to compile the kernel for the CPU")
    source = SOURCE.read_text(encoding="utf-8")
    assert source.count(correct) == 1
    (tmp_path / SOURCE.name).write_text(source.replace(correct, wrong), encoding="utf-8")
    broken = compile_for_cpu(tmp_path / SOURCE.name, tmp_path)

    with pytest.raises(AssertionError, match="AddressSanitizer"):
        run(broken, picture("noise", rows, columns, 1), 40, 31, 1)


@pytest.mark.parametrize("architecture", ["sm_87", "sm_110"])
def test_cuda_compiles_it_for_the_boards(architecture: str, tmp_path: Path) -> None:
    if shutil.which("nvcc") is None:
        pytest.skip("found no nvcc, expected CUDA's compiler")
    cache = PlanCache(tmp_path)

    made = cubin(architecture, cache)

    assert made.startswith(b"\x7fELF")
    assert cache.read(next(tmp_path.iterdir()).name) == made == cubin(architecture, cache)


def test_an_architecture_that_the_compiler_does_not_know_is_one_line() -> None:
    if shutil.which("nvcc") is None:
        pytest.skip("found no nvcc, expected CUDA's compiler")

    with pytest.raises(EngineError, match="cannot compile it for sm_1") as caught:
        compiled("sm_1")

    assert "\n" not in str(caught.value)


def test_without_a_compiler_it_says_what_to_install() -> None:
    with pytest.raises(EngineError, match=r"found neither nowhere/nvcc, expected .*apt install"):
        compiled("sm_87", compilers=["nowhere/nvcc"])
