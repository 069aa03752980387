"""The contract between training, export and the line: the bundle that export writes and edge reads."""

from bundle.decide import Box, Decision, Defect, ExposureRule, Geometry, Threshold, Verdict, decide, mean_odds
from bundle.errors import (
    BundleDamaged,
    BundleError,
    BundleFormat,
    FrameError,
    GoldenMismatch,
    SignatureInvalid,
    os_problem,
)
from bundle.files import sync_folder, write_whole
from bundle.folder import Bundle, load_bundle, write_bundle
from bundle.frozen_model import FrozenModel
from bundle.golden import Golden
from bundle.images import (
    OTHER_SUFFIXES,
    SUFFIXES,
    StoredImage,
    decode_stored,
    encode_drawing,
    encode_png,
    read_image,
    read_stored,
    turned,
)
from bundle.manifest import FORMAT, MadeFrom, Manifest, MaskSize, Precision, Tolerance, first_problem
from bundle.preprocess import Crop, Image, InputSpec, check_frame, cropped, preprocess, resize, resize_truth
from bundle.tiling import TileGrid, Tiling

__all__ = [
    "FORMAT",
    "OTHER_SUFFIXES",
    "SUFFIXES",
    "Box",
    "Bundle",
    "BundleDamaged",
    "BundleError",
    "BundleFormat",
    "Crop",
    "Decision",
    "Defect",
    "ExposureRule",
    "FrameError",
    "FrozenModel",
    "Geometry",
    "Golden",
    "GoldenMismatch",
    "Image",
    "InputSpec",
    "MadeFrom",
    "Manifest",
    "MaskSize",
    "Precision",
    "SignatureInvalid",
    "StoredImage",
    "Threshold",
    "TileGrid",
    "Tiling",
    "Tolerance",
    "Verdict",
    "check_frame",
    "cropped",
    "decide",
    "decode_stored",
    "encode_drawing",
    "encode_png",
    "first_problem",
    "load_bundle",
    "mean_odds",
    "os_problem",
    "preprocess",
    "read_image",
    "read_stored",
    "resize",
    "resize_truth",
    "sync_folder",
    "turned",
    "write_bundle",
    "write_whole",
]
