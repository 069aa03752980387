"""Build the documentation site: `python -m tools.documentation OUT`; a broken link is an error."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.documentation.reference import pages

ROOT = Path(__file__).resolve().parents[2]
CONTENT = {".md", ".png", ".csv", ".st", ".scl", ".toml", ".yml", ".json"}
"""Suffixes of files that pages show or link to."""
LEFT_OUT = ("tests/", "models/")


def lay_out(folder: Path) -> None:
    """Copy the repository's pages to a folder under their own paths, and write the reference beside them."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = [name for name in tracked.stdout.split("\0") if Path(name).suffix in CONTENT or name == "LICENSE"]
    for name in names:
        if not name.startswith(LEFT_OUT) and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    (folder / "reference").mkdir()
    for name, text in pages().items():
        (folder / "reference" / name).write_text(text, encoding="utf-8")


def main(out: Path) -> int:
    """Build the site; returns the exit status of MkDocs."""
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        lay_out(scratch / "content")
        shutil.copyfile(Path(__file__).with_name("mkdocs.yml"), scratch / "mkdocs.yml")
        command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--clean", "--site-dir", str(out)]
        return subprocess.run(command, cwd=scratch, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
