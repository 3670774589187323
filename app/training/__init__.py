"""Pretraining: from files and a model to trained weights. Knows no queue, no store and no Redis.

`run` is the way in. `data/` prepares the samples, and `loop/` trains on them.
"""
