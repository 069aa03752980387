"""The station's records: SQLite database, pictures, retention, export, summaries."""
