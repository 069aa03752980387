"""The tables of `line.toml`, each key written once."""
