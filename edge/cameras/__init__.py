"""Cameras, one kind a file; `edge.camera.open_camera` opens them by address."""
