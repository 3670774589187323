"""Codecs of media: bytes ↔ arrays, within limits."""
