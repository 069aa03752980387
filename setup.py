"""Build step: a wheel carries the models that its commands name; all other settings are in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

DEMO_BUNDLE = "models/demo-tiles"
"""Bundle of `edge-inspect demo`, in the package `edge`."""
SURFACE_BASE = "models/surface-base.pt"
"""Checkpoint of `train --init surface-base`, in the package `train`."""


class BuildWithModels(build_py):
    """Copies these models into the packages; not for an editable installation."""

    def run(self) -> None:
        """Build the packages, then copy the models."""
        super().run()
        if not self.editable_mode:
            root, built = Path(__file__).resolve().parent, Path(self.build_lib)
            target = built / "edge" / DEMO_BUNDLE
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(root / DEMO_BUNDLE, target)
            base = built / "train" / SURFACE_BASE
            base.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / SURFACE_BASE, base)


setup(cmdclass={"build_py": BuildWithModels})
