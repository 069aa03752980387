"""Equipment around a station that fails on command: cameras, engine, disk, wires, pictures, bundles."""
