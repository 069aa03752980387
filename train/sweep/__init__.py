"""Sweeps: the runs of a plan over folds, seeds and settings, on one machine or a Ray cluster."""
