"""Readers of training data: documents and archives, and the check before a job is queued."""
