"""Metrics, predictions, thresholds, and pooling of several runs."""
