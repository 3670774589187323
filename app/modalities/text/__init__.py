"""Text: masked language models that fill masks, score and embed."""
