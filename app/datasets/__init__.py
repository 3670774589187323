"""Readers of the data that jobs are trained on: documents, archives and their checks."""
