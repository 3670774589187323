"""Files ↔ documents and arrays, always bounded."""
