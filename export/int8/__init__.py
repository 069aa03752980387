"""INT8 quantisation: calibration, activation ranges, accuracy gate, mixed precision."""
