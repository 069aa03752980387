"""TensorRT: engine build, plan cache, CUDA driver calls, preprocessing kernel."""
