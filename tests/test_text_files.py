"""Text files that people edit may begin with a byte order mark, as editors and spreadsheets write one."""

import ast
from pathlib import Path

from tests.test_rooms import FILES, ROOT

WRITTEN_BY_PROGRAMS = {
    "edge/central/database.py": "schema of the package",
    "edge/commands/camera_options.py": "a page of the documentation",
    "edge/config/explain.py": "examples of the package",
    "edge/forwarding/progress_file.py": "progress that it wrote",
    "edge/page/review.py": "proposals of a program",
    "edge/page/routes/page.py": "pages of the package",
    "edge/records/database.py": "schema of the package",
    "export/benchmark/layer_times.py": "times that onnxruntime wrote",
    "firmware_bridge/generate/__main__.py": "generated files",
    "train/evaluate/prediction_files.py": "predictions of a run",
    "train/evaluate/runs/compare_runs.py": "metrics of a run",
    "train/sweep/plan.py": "content of a run that it wrote",
}
"""Source files that read UTF-8 without a mark, with what they read."""


def reads(path: Path) -> set[str]:
    """Encodings with which a source file reads text; a variable counts as `utf-8`."""
    found: set[str] = set()
    for call in (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func).rpartition(".")[2]
        modes = [node.value for node in call.args if isinstance(node, ast.Constant)]
        is_read = name in ("read_text", "open", "decode") and not any(str(mode)[:1] in tuple("wax") for mode in modes)
        for keyword in call.keywords if is_read else ():
            if keyword.arg == "encoding":
                found.add(str(keyword.value.value) if isinstance(keyword.value, ast.Constant) else "utf-8")
    return found


def test_text_files_that_people_edit_are_read_with_or_without_a_mark() -> None:
    plain = {path.relative_to(ROOT).as_posix() for path in FILES if reads(path) & {"utf-8", "UTF-8", "utf8"}}

    assert plain == set(WRITTEN_BY_PROGRAMS), "read these with utf-8-sig, or name here what wrote the file"
