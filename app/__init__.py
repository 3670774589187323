"""Cloze: a self-hosted service for masked-prediction models."""

__version__ = "0.2.0"
