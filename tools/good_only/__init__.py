"""Comparison of methods that learn good parts alone."""
