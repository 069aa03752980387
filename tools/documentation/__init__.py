"""Documentation site: the repository's pages, and a reference that is generated from the code at each build."""
