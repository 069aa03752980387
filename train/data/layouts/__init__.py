"""Layouts of data sets that `train --data` reads."""
