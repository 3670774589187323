"""How models of text are trained."""

from app.datasets.pairs import PairColumns
from app.methods import ContrastiveHyperparameters


class TextTraining:
    """Names the preparation of documents, `app.training.text`, which makes tokenizers and packed rows."""


class ContrastiveTraining:
    """Names the preparation of pairs, `app.training.contrastive`."""


def pair_columns(hyperparameters: ContrastiveHyperparameters) -> PairColumns:
    hp = hyperparameters
    return PairColumns(hp.anchor_column, hp.positive_column, hp.negative_column, hp.score_column)
