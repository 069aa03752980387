"""Console scripts of the project: Ctrl-C ends each with one line, also while its modules are imported."""
