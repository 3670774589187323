"""Modalities: one descriptor each, with its models, tasks, masking and losses. `registry` lists them."""
