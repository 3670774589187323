"""Which positions of a sequence are masked, and what the model sees in their place: pure NumPy.

Every sampler takes the only source of randomness as an argument and masks an exact number of
positions, ⌈rate × maskable⌉ of them (whole words and spans may stop just short of it).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Ids = NDArray[np.int64]
Sampler = Callable[[Bools, Bools, float, np.random.Generator], Bools]

MAX_SPAN = 10  # words, as SpanBERT clips its geometric lengths


def choose_tokens(maskable: Bools, continues: Bools, rate: float, rng: np.random.Generator) -> Bools:
    """Independent tokens (BERT, arXiv 1810.04805). maskable [L], continues [L] (unused) → chosen [L]."""
    candidates = np.flatnonzero(maskable)
    chosen = np.zeros(len(maskable), dtype=bool)
    chosen[rng.permutation(candidates)[: _budget(len(candidates), rate)]] = True
    return chosen


def choose_words(maskable: Bools, continues: Bools, rate: float, rng: np.random.Generator) -> Bools:
    """Whole words: a token that continues a word is masked with the tokens before it."""
    return _choose_groups(_words(maskable, continues), maskable, rate, rng)


def span_sampler(mean_length: float) -> Sampler:
    """Spans of whole words of geometric length (SpanBERT, arXiv 1907.10529)."""

    def choose_spans(maskable: Bools, continues: Bools, rate: float, rng: np.random.Generator) -> Bools:
        words = _words(maskable, continues)
        count = int(words.max(initial=-1)) + 1
        lengths = np.minimum(rng.geometric(1 / mean_length, size=count), MAX_SPAN)
        # Cut the words into consecutive spans, then treat each span as one word.
        span_of_word = np.repeat(np.arange(count), lengths)[:count]
        spans = np.where(words >= 0, span_of_word[words], -1) if count else words
        return _choose_groups(spans, maskable, rate, rng)

    return choose_spans


def run_sampler(length: int) -> Sampler:
    """Runs of `length` tokens, as for overlapping k-mers (DNABERT, doi 10.1093/bioinformatics/btab083).

    The neighbours of a shorter run contain all of its letters.
    """

    def choose_runs(maskable: Bools, continues: Bools, rate: float, rng: np.random.Generator) -> Bools:
        places = np.flatnonzero(maskable)
        chosen = np.zeros(len(maskable), dtype=bool)
        count = min(length, len(places))
        starts = rng.permutation(len(places) - count + 1)[: max(1, round(rate * len(places) / length))]
        chosen[places[(starts[:, None] + np.arange(count)).ravel()]] = True
        return chosen

    return choose_runs


def corrupt(
    ids: Ids,
    chosen: Bools,
    *,
    mask_id: int,
    ordinary_ids: Ids,
    mask_share: float,
    random_share: float,
    rng: np.random.Generator,
) -> Ids:
    """Corrupts the chosen positions: `mask_share` of them become the mask token, `random_share`
    a token drawn from `ordinary_ids`, and the rest stay (BERT's 80/10/10). ids [L] → ids [L]."""
    positions = np.flatnonzero(chosen)
    draw = rng.random(len(positions))
    seen = ids.copy()
    seen[positions[draw < mask_share]] = mask_id
    swapped = positions[(draw >= mask_share) & (draw < mask_share + random_share)]
    seen[swapped] = ordinary_ids[rng.integers(len(ordinary_ids), size=len(swapped))]
    return seen


def _budget(maskable: int, rate: float) -> int:
    return int(np.ceil(rate * maskable))


def _words(maskable: Bools, continues: Bools) -> Ids:
    """The index of each position's word, -1 where nothing may be masked. [L]"""
    starts = maskable & (~continues | ~np.concatenate([[False], maskable[:-1]]))
    return np.where(maskable, np.cumsum(starts) - 1, -1)


def _choose_groups(groups: Ids, maskable: Bools, rate: float, rng: np.random.Generator) -> Bools:
    """Masks random whole groups while they fit the budget; at least one."""
    sizes = np.bincount(groups[maskable]) if maskable.any() else np.zeros(0, dtype=np.int64)
    order = rng.permutation(np.flatnonzero(sizes))
    fitting = np.cumsum(sizes[order]) <= _budget(int(maskable.sum()), rate)
    taken = order[fitting] if fitting.any() else order[:1]
    return maskable & np.isin(groups, taken)
