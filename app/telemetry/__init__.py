"""Observation of requests and jobs beside the metrics: notes for the access log."""
