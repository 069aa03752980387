"""From a trained checkpoint to bundles that a station runs, with proof that nothing changed on the way."""

import edge.engines  # noqa: F401  # before onnxruntime, whose reports to its vendor it switches off
