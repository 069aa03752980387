"""Cameras, one kind a file; `edge.cameras.registry.open_camera` opens them by address."""
