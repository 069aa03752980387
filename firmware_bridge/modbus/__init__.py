"""Modbus: register map, transport, handshake of station and PLC."""
