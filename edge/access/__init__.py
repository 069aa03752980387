"""People at a station: users, passwords, sessions, lock-out, the record of log-ins, and certificates."""
