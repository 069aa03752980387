"""The runtime loop: from a trigger through camera, network and decision to the PLC's result."""
