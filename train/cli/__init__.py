"""The console script `train`."""
