"""Bundles: assembly, golden frames, tolerances, changed thresholds."""
