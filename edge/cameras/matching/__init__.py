"""Assigns frames to exposures: trigger matching, frame numbering, timestamps, frame sanity."""
