"""Routes, one module per resource. Each has a `router` or a `build_router`."""
