"""Wire formats: JSON bodies, multipart forms, NDJSON and event streams, ranges."""
