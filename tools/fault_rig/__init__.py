"""A station on trial: the real service in its own process; camera, engine, disk and wire fail on command."""
