"""Load on the station: a plan of faults over hours, and rates beyond its limit."""
