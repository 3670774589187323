"""Text: masked language models that fill masks and embed."""
