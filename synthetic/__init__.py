"""Synthetic images of good and defective parts with their ground truth."""
