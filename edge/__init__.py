"""The inspection station: cameras, engines, the runtime loop, records."""
