"""MQTT client: results, alarms, counters and state for a broker, and commands from it."""
