"""Draws parts, good and defective, with their ground truth."""
