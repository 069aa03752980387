"""Fault injection rig: the real station in a separate process; camera, engine, disk and wire fail on command."""
