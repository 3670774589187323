"""How models of text are trained."""


class TextTraining:
    """Names the preparation of documents, `app.training.text`, which makes tokenizers and packed rows."""
