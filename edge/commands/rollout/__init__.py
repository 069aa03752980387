"""`edge-inspect rollout`: its commands, and the systemd timer that takes a station's steps."""
