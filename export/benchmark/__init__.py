"""TensorRT engine benchmarks, roofline, acceptance of a machine with a GPU."""
