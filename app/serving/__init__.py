"""Turns requests into batches on a device. Knows no HTTP and no modality."""
