"""Pretraining: knows objectives and files; no queue, store or Redis."""
