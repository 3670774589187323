"""The paths of text-embeddings-inference's routes."""

PREFIX = "/tei"
ROUTES = ("embed", "embed_all", "predict", "rerank", "similarity", "tokenize", "decode")
