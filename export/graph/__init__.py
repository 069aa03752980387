"""ONNX graphs: export from a checkpoint, fixed signature, cleanup, float16, Q/DQ."""
