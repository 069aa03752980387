"""Annotations of other tools, imported as a plain folder."""
