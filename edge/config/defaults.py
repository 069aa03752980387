"""Default values of keys of `line.toml` that other code uses too; it loads nothing."""

DEFAULT_ENGINE = "onnxruntime"
MOST_THREADS = 256
"""Of an engine; a processor has fewer, and tens of thousands end the process."""
ENTRIES_IN_MEMORY = 20_000
"""An entry takes about 1 kB; a part has two or three: row, delivery, pictures."""
LATE_ROWS = 8
