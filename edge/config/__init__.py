"""Configuration of a line: one frozen, validated model per table of `line.toml`."""
