"""What a TensorRT engine is made of: plans and their cache, the kernel, slots on CUDA streams."""
