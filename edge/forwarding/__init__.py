"""Store and forward: rows of the records on their way to the plant's own broker or database."""
