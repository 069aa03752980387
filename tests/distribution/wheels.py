"""Wheels of a few lines, written by hand."""

import base64
import hashlib
import zipfile
from pathlib import Path

METADATA = "Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n{more}\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def write_wheel(folder: Path, name: str, more: str = "", **files: str) -> Path:
    """Write a pure wheel with a console script of its name that prints it; `more` are lines of its metadata."""
    info = f"{name.replace('-', '_')}-1.0.dist-info"
    module = name.replace("-", "_")
    content = {
        f"{module}.py": f"def main() -> None:\n    print('{name} 1.0')\n",
        f"{info}/METADATA": METADATA.format(name=name, more=more),
        f"{info}/WHEEL": WHEEL,
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {module}:main\n",
        **{f"{info}/licenses/{file}": text for file, text in files.items()},
    }
    lines = [f"{path},sha256={_digest(text)},{len(text.encode())}" for path, text in content.items()]
    content[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,", ""])
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{module}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in content.items():
            archive.writestr(path, text)
    return wheel


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
