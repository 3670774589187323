"""The methods for models of text that need no training labels, as figures of rows of numbers.

`sts`: how well the cosine of two vectors agrees with a score of their texts.
`minimal_pairs`: how often the good text of a pair has the higher pseudo-log-likelihood (Salazar et al. 2020,
https://aclanthology.org/2020.acl-main.240), as in BLiMP (Warstadt et al. 2020, https://arxiv.org/abs/1912.00582).
`masked_accuracy`: how well the model predicts the tokens of held-out texts.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import NamedTuple

import numpy as np

from app.datasets.text_rows import TextRow
from app.evaluation.embedding import Embedder, EmbeddingRequest
from app.evaluation.resampling import Rows, Statistic
from app.evaluation.scoring import ScoringRequest, TextScore, score_texts
from app.evaluation.unreadable import find_readable
from app.evaluation.vectors import normalize
from app.modalities.text.rank_correlation import correlate_ranks
from app.store.store import ModelEntry
from app.types import TextMethod

MASKED = 0.15  # of the tokens, as in pretraining
MOST_CHARACTERS = 100_000  # of all texts whose tokens are predicted: each token takes a forward
TEXT_CHARACTERS = 500  # of one of them
_DRAWN_WORK = 0.13  # the share of the work that drawn tokens are
_SEED = 0
_MOST_LOSS = 700.0  # whose exponential a float holds

# (embedder, model, rows, on_done) → the numbers of each row, NaN for rows that the model cannot read. on_done is told
# the share that is done.
Compute = Callable[[Embedder, ModelEntry, Sequence[TextRow], Callable[[float], None]], Rows]


@dataclass(frozen=True)
class TextFigures:
    """The figures of a method.

    compute: the numbers of each row. select: the rows that are used. statistics: each figure by its name, of these
    numbers; the first is the one by which models are compared. lower_is_better: of the first. chance: its value for a
    model that knows nothing.
    """

    compute: Compute
    statistics: Mapping[str, Statistic]
    lower_is_better: bool = False
    select: Callable[[Sequence[TextRow]], list[TextRow]] = list
    chance: float | None = None

    @property
    def metric(self) -> str:
        """The figure by which models are compared."""
        return next(iter(self.statistics))


def compute_cosines(
    embedder: Embedder, model: ModelEntry, rows: Sequence[TextRow], on_done: Callable[[float], None]
) -> Rows:
    """Returns (cosine of the two vectors, score) of each pair [N, 2]. A text of several pairs is embedded once.

    The cosine is NaN for a pair of which the model cannot read one text.
    """
    places = {text: row.place for row in rows for text in row.texts}
    checked = find_readable(embedder.load_handler(model), list(places), lambda done: on_done(0))
    texts = list(compress(places, checked))
    if not texts:
        return np.full((len(rows), 2), np.nan)
    index = {text: number for number, text in enumerate(texts)}

    def report(done: int) -> None:
        on_done(done / len(texts))

    vectors = embedder.embed(EmbeddingRequest(model, texts, [places[text] for text in texts]), report)
    unit = np.concatenate([normalize(vectors).astype(np.float64), np.full((1, vectors.shape[1]), np.nan)])
    unreadable = len(texts)  # the index of the last row
    first, second = ([index.get(row.texts[side], unreadable) for row in rows] for side in (0, 1))
    return np.stack([(unit[first] * unit[second]).sum(1), [row.score for row in rows]], axis=1)


def compare_pairs(
    embedder: Embedder, model: ModelEntry, rows: Sequence[TextRow], on_done: Callable[[float], None]
) -> Rows:
    """Returns 1 for each pair whose first text has the higher score, and else 0 [N, 1]. Equal tokens are a tie: 0."""
    texts = list(dict.fromkeys(text for row in rows for text in row.texts))
    index = {text: number for number, text in enumerate(texts)}
    scores = score_texts(embedder, ScoringRequest(model, texts), on_done)
    likelihood, identity = scores[:, 0], scores[:, TextScore._fields.index("identity")]
    good, bad = (np.array([index[row.texts[side]] for row in rows]) for side in (0, 1))
    right = np.where(identity[good] == identity[bad], False, likelihood[good] > likelihood[bad]).astype(np.float64)
    right[np.isnan(likelihood[good]) | np.isnan(likelihood[bad])] = np.nan
    return right[:, None]


def draw_texts(rows: Sequence[TextRow]) -> list[TextRow]:
    """Returns texts in a fixed random order, cut at a space, until they have `MOST_CHARACTERS` together."""
    drawn, characters = [], 0
    for index in np.random.default_rng(_SEED).permutation(len(rows)):
        if characters >= MOST_CHARACTERS:
            break
        text = rows[index].texts[0].strip()
        if len(text) > TEXT_CHARACTERS:
            text = (text[: TEXT_CHARACTERS + 1].rsplit(maxsplit=1)[0])[:TEXT_CHARACTERS]
        drawn.append(replace(rows[index], texts=(text,)))
        characters += len(text)
    return drawn


def predict_tokens(
    embedder: Embedder, model: ModelEntry, rows: Sequence[TextRow], on_done: Callable[[float], None]
) -> Rows:
    """Returns numbers of each text [N, 6], in the order of `PredictedTokens`."""
    texts = [row.texts[0] for row in rows]
    drawn = score_texts(embedder, ScoringRequest(model, texts, MASKED), lambda share: on_done(_DRAWN_WORK * share))
    whole = score_texts(
        embedder, ScoringRequest(model, texts), lambda share: on_done(_DRAWN_WORK + (1 - _DRAWN_WORK) * share)
    )
    likelihood, tokens, right, characters, _ = (TextScore._fields.index(name) for name in TextScore._fields)
    return np.concatenate([whole[:, [likelihood, tokens, characters]], drawn[:, [likelihood, tokens, right]]], axis=1)


class PredictedTokens(NamedTuple):
    """The numbers of texts: the pseudo-log-likelihood with its tokens and characters, and the same of drawn tokens."""

    log_likelihood: float
    tokens: float
    characters: float
    drawn_log_likelihood: float
    drawn_tokens: float
    drawn_right: float


def _of_totals(figure: Callable[[PredictedTokens], float]) -> Statistic:
    """Returns a figure of the sums over all texts, in which each token counts the same."""
    return lambda rows: float(figure(PredictedTokens(*rows.sum(0))))


def find_share(rows: Rows) -> float:
    """Returns the mean of the first column."""
    return float(rows[:, 0].mean())


def correlate(rows: Rows) -> float:
    """Returns Pearson's correlation of the two columns; 0 if one is constant."""
    if (np.ptp(rows, axis=0) == 0).any():
        return 0.0
    centred = rows - rows.mean(0)
    scaled = centred / np.abs(centred).max(0)  # squares of very large or small numbers are out of range
    return float(np.corrcoef(scaled[:, 0], scaled[:, 1])[0, 1])


TEXT_FIGURES: Mapping[TextMethod, TextFigures] = {
    "sts": TextFigures(
        compute_cosines, {"spearman": lambda rows: correlate_ranks(*rows.T), "pearson": correlate}, chance=0.0
    ),
    "masked_accuracy": TextFigures(
        predict_tokens,
        {
            "bits_per_character": _of_totals(lambda total: -total.log_likelihood / math.log(2) / total.characters),
            "pseudo_perplexity": _of_totals(
                lambda total: math.exp(min(-total.log_likelihood / total.tokens, _MOST_LOSS))
            ),
            "accuracy": _of_totals(lambda total: total.drawn_right / total.drawn_tokens),
            "loss": _of_totals(lambda total: -total.drawn_log_likelihood / total.drawn_tokens),
        },
        lower_is_better=True,
        select=draw_texts,
    ),
    "minimal_pairs": TextFigures(compare_pairs, {"accuracy": find_share}, chance=0.5),
}
