"""Inspection pipeline: from a trigger through camera, network and decision to the result for the PLC."""
