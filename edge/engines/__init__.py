"""Inference engines: the contract, the registry, and one implementation for each runtime."""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read as onnxruntime is imported, which else reports to Microsoft
