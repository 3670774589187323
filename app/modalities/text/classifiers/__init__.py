"""Text models with a classification head of transformers: labels of texts, or of their tokens."""
