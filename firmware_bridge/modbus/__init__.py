"""Modbus RTU: register map, transport, handshake of station and PLC."""
