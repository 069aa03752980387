"""The line to the PLC: framed serial or Modbus RTU, with one `Result` for each `Trigger`."""
