"""Data sets on disk, splits, and images in memory and on the device."""
