"""The framed serial protocol: frames, reliable delivery, session."""
