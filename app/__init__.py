"""Cloze: a self-hosted service for masked-prediction models."""

__version__ = "0.1.0"
