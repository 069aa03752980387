"""Distribution: wheel, sdist and offline packages of the station, with inventory, checksums and signature."""
