"""Pretraining text and images beside the loops that people would otherwise write."""
