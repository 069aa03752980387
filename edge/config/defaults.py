"""Default values of keys of `line.toml` that other code uses too; it loads nothing."""

DEFAULT_ENGINE = "onnxruntime"
ENTRIES_IN_MEMORY = 20_000
"""An entry takes about 1 kB; a part has two or three: row, delivery, pictures."""
LATE_ROWS = 8
