"""The distribution of each mask: temperature, filters, draws, entropy, and the ranks of given tokens."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.modalities.text.candidates.mask_options import MaskOptions
from app.modalities.text.filling.rows import FillMaskInputs, Raw, choose

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Measures:
    """Measures of the masks of a row, as its `MaskOptions` ask for them. None: not asked for.

    shares: [masks] probability of all allowed entries together. entropies: [masks] in nats, over the whole vocabulary.
    draws: log-probabilities and tokens [masks, samples] each, in the order of the draws.
    log_probs, ranks: [masks] of the truths, among the whole vocabulary.
    """

    shares: Floats
    entropies: Floats | None = None
    draws: Raw | None = None
    log_probs: Floats | None = None
    ranks: Ids | None = None


class MeasuredRaw(tuple[Floats, Ids]):
    """The candidates of a row, as any row's, with what was measured of its masks."""

    measures: Measures

    def __new__(cls, best: Raw, measures: Measures) -> "MeasuredRaw":
        raw = super().__new__(cls, best)
        raw.measures = measures
        return raw


def choose_measured(logits: Tensor, inputs: FillMaskInputs, entries: int) -> MeasuredRaw:
    """Returns the candidates of a row with options. logits: [masks, V] in float32, of which `entries` have a name."""
    options = inputs.options or MaskOptions()
    temperature = options.distribution.temperature
    scores = (logits if temperature == 1 else logits / temperature).log_softmax(-1)  # [masks, V]
    named = scores[:, :entries]
    if options.allowed is not None:
        named = named.masked_fill(~options.allowed.to(named.device), -torch.inf)
    log_probs, ranks = _find_truths(scores, entries, options.truths) if options.truths else (None, None)
    measures = Measures(
        named.logsumexp(-1).exp().cpu().numpy(),
        _measure_entropy(scores) if options.distribution.entropy else None,
        _draw_all(named, options) if options.distribution.samples else None,
        log_probs,
        ranks,
    )
    return MeasuredRaw(_drop_impossible(choose(named, inputs, entries)), measures)


def _drop_impossible(best: Raw) -> Raw:
    """Drops the last columns of [masks, k] candidates, which are -inf where less than k are allowed; keeps one."""
    log_probs, tokens = best
    count = max(1, int(np.count_nonzero(~np.isneginf(log_probs).all(axis=0))))
    return log_probs[:, :count], tokens[:, :count]


def _measure_entropy(scores: Tensor) -> Floats:
    found: Floats = torch.special.entr(scores.exp()).sum(-1).cpu().numpy()
    return found


def _draw_all(named: Tensor, options: MaskOptions) -> Raw:
    """Draws tokens for each mask in proportion to their probabilities, with replacement.

    The draws of a mask depend on the seed, the mask's number in its item and its probabilities, and on nothing else
    of the batch.
    """
    log_probs = named.cpu().numpy()
    tokens = np.stack([_draw(each, options, options.first + place) for place, each in enumerate(log_probs)])
    return np.take_along_axis(log_probs, tokens, axis=1), tokens


def _draw(log_probs: Floats, options: MaskOptions, mask: int) -> Ids:
    """Draws by the inverse of the cumulative distribution. log_probs: [entries]."""
    rng = np.random.default_rng((options.distribution.seed, mask))
    cumulative = np.cumsum(np.exp(log_probs - log_probs.max(), dtype=np.float64))
    drawn = np.searchsorted(cumulative, rng.random(options.distribution.samples) * cumulative[-1], side="right")
    # The product may round up to the whole: the last entry that is possible is drawn then. NaN has none.
    tokens: Ids = np.minimum(drawn, np.flatnonzero(log_probs > -np.inf).max(initial=0))
    return tokens


def _find_truths(scores: Tensor, entries: int, truths: tuple[int, ...]) -> tuple[Floats, Ids]:
    """Returns the log-probability and the rank of each truth. Entries without a name have no rank."""
    own = scores.gather(1, torch.tensor(truths, device=scores.device).unsqueeze(1))  # [masks, 1]
    ranks = (scores[:, :entries] > own).sum(1) + 1
    return own.squeeze(1).cpu().numpy(), ranks.cpu().numpy()
