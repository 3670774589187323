"""The paths of text-embeddings-inference's routes."""

PREFIX = "/tei"
ROUTES = ("embed", "embed_all", "embed_sparse", "predict", "rerank", "similarity", "tokenize", "decode")
