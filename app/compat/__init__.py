"""Thin adapters that speak other dialects on the same engine."""
