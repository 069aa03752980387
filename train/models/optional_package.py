"""Import of the optional network packages, timm and segmentation-models-pytorch."""

from importlib import import_module
from typing import Any

import torch

from train.errors import TrainError


def import_optional(name: str, extra: str) -> Any:
    """Import a package of an extra of edge-inspect. Raises TrainError with the command that installs it."""
    try:
        return import_module(name)
    except (ImportError, RuntimeError) as error:  # torchvision raises RuntimeError where it does not fit torch
        raise TrainError(
            f"{name.replace('_', '-')}: cannot be imported ({str(error).splitlines()[0]}); install the extra `{extra}` "
            f"with a torchvision that fits torch {torch.__version__}: pip install 'edge-inspect[{extra}]'"
        ) from None
