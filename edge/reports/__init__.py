"""Reports of a station from its records: a shift, and the agreement of station and people."""
