"""Data augmentation: random augmentation of batches, guided crops, drawn defects."""
