"""Evaluation and comparison of bundles on labelled images."""
