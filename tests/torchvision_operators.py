"""Lets a torchvision that was built for CUDA import beside a torch built for the CPU.

It registers fake kernels for two operators that only its own library declares; their schemas are declared here first.
No network of ours calls either.
"""

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared: list[torch.library.Library] = []


def declare_torchvision_operators() -> None:
    """Declare the missing operators, once, unless torchvision imports as it is."""
    if _declared:
        return
    try:
        import torchvision  # noqa: F401
    except ImportError:
        return
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for schema in _SCHEMAS:
            library.define(schema)  # type: ignore[no-untyped-call]
        _declared.append(library)
