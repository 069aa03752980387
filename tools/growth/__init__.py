"""Cost of growth: processor time and memory of steps against the size of what they work on."""
