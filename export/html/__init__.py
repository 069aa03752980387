"""Standalone HTML pages and overlay pictures."""
