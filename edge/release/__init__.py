"""Release of bundles to a line: signatures, the folder of releases, switch and way back."""
