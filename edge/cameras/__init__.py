"""Cameras, one file for each kind; `edge.cameras.registry.open_camera` opens them by address."""
