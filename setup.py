"""Build step: a wheel carries the bundle of `edge-inspect demo`; all other settings are in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

DEMO_BUNDLE = "models/demo-tiles"


class BuildWithDemoBundle(build_py):
    """Copies the bundle of the demo into the package `edge`; not for an editable installation."""

    def run(self) -> None:
        """Build the packages, then copy the bundle."""
        super().run()
        if not self.editable_mode:
            source = Path(__file__).resolve().parent / DEMO_BUNDLE
            target = Path(self.build_lib) / "edge" / DEMO_BUNDLE
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target)


setup(cmdclass={"build_py": BuildWithDemoBundle})
