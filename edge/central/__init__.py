"""Central records: the rows of all stations in one PostgreSQL database."""
