"""Trial of a candidate bundle beside the bundle in force."""
