"""Simulated PLC and line, with faulty wires and pseudo-terminals."""
