"""Results of a run: the parts of the PLC, the records and the witness compared; memory over time; the table."""
