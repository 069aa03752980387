"""End of a command by a package that is not installed: one line with the extra that brings it, exit status 1.

Packages that only code with a message of its own imports, such as those of the page and the cameras, are not listed.
"""

import sys
from types import TracebackType

EXTRAS = {
    "cpu": ("cv2", "onnxruntime"),
    "export": ("cv2", "onnx", "onnxruntime", "scipy", "sklearn"),
    "train": ("cv2", "defusedxml", "matplotlib", "onnx", "onnxruntime", "onnxscript", "scipy", "sklearn", "torch"),
    "openvino": ("openvino",),
    "central": ("psycopg",),
    "dev": ("cyclonedx",),
}
"""Extra of edge-inspect -> modules that it brings, under the names that are imported; the smallest extra first."""
OWN = {"edge-export": "export", "train": "train"}
"""Command -> extra that it needs as a whole."""


def tell_missing_packages(command: str) -> None:
    """Let a missing package end the process with one line, also at an import of the main module."""
    before = sys.excepthook

    def tell(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        problem = missing_package(command, error)
        if problem:
            print(problem, file=sys.stderr)
        else:
            before(kind, error, traceback)

    sys.excepthook = tell


def missing_package(command: str, error: BaseException) -> str:
    """Return the line about a package that an extra brings; empty for any other error."""
    module = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    extras = [extra for extra, modules in EXTRAS.items() if module in modules]
    if not extras:
        return ""
    extra = OWN[command] if OWN.get(command) in extras else extras[0]
    jetson = "; on a Jetson see docs/jetson.md: it has its own OpenCV" if module == "cv2" else ""
    return f"{command}: {module} is not installed; pip install 'edge-inspect[{extra}]'{jetson}"
