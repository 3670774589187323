"""Evaluations: how much a model helps with few labels. The only package that imports scikit-learn."""
