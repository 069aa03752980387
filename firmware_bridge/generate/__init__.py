"""Generates C sources, tables and CSV from the message and register definitions."""
