"""Overview of the plant: a page with the state of all stations, from the central records."""
