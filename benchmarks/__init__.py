"""Studies and measurements; slower than tests, and on data that is not in the repository."""
