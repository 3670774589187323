"""Models at rest: `<root>/<name>/<version>/`, published atomically, never changed afterwards."""
