"""The 24 V handshake: one wire for each signal, on GPIO lines or a Modbus input/output module."""
