"""Modalities: their models, tasks, masking and losses. Serving and training share them."""
