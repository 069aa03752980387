"""Cameras, one kind a file; `edge.cameras.camera.open_camera` opens them by address."""
