"""Rejects thrown out by the station itself, on lines whose PLC does not time them."""
