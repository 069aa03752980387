"""Cache key of a TensorRT plan, with a readable difference of two keys."""

import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Edition = Literal["tensorrt", "tensorrt_rtx"]
"""NVIDIA TensorRT, as on a Jetson, or TensorRT for RTX, which can build for GPUs of other machines."""

ANY_GPU = "any"
"""GPU name of a plan for every GPU of a compute capability."""


class Frozen(BaseModel):
    """A frozen table; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class BuildOptions(Frozen):
    """Builder options."""

    workspace_mib: int = Field(default=1024, ge=16)
    """Workspace limit; an 8 GB Jetson shares its memory with camera and system."""
    optimization_level: int = Field(default=3, ge=0, le=5)
    """TensorRT's builder optimization level, build time against speed; 3 is its default."""


class PlanTarget(Frozen):
    """Target GPU of a plan."""

    gpu: str
    """The device's name, or `any`."""
    compute_capability: str = Field(pattern=r"^\d+\.\d$")

    @property
    def architecture(self) -> str:
        """Architecture name of CUDA's compiler, such as sm_87."""
        return "sm_" + self.compute_capability.replace(".", "")


class PlanKey(Frozen):
    """Everything that a plan depends on; a cached plan is used if all of it is equal."""

    onnx_sha256: str
    tensorrt: str
    """Edition and version."""
    target: PlanTarget
    batch: int = Field(ge=1)
    options: BuildOptions

    @property
    def name(self) -> str:
        """File name: readable, made unique by the hash at its end."""
        digest = hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]
        return f"{self.target.architecture}-batch{self.batch}-{digest}"


def differences(cached: PlanKey, wanted: PlanKey) -> list[str]:
    """List the differences of a cached key from the wanted one: what, found, expected."""
    pairs = {
        "ONNX hash": (cached.onnx_sha256[:12], wanted.onnx_sha256[:12]),
        "TensorRT version": (cached.tensorrt, wanted.tensorrt),
        "GPU": (cached.target.gpu, wanted.target.gpu),
        "compute capability": (cached.target.compute_capability, wanted.target.compute_capability),
        "batch": (cached.batch, wanted.batch),
        "options": (cached.options.model_dump(), wanted.options.model_dump()),
    }
    return [
        f"{what}: found {found}, expected {expected}" for what, (found, expected) in pairs.items() if found != expected
    ]
