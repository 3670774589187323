"""Training data: prepared files in a shared cache, samples, and the order in which a run reads them."""
