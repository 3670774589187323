"""Plain predictors of masked tokens, which a model has to beat: pure NumPy.

- **commonest**: always the token that is the commonest in the training data.
- **unigram**: the frequency of each token.
- **bigram**: the token before and the one behind, p(t | left, right) ∝ p(t | left) · p(right | t), as in a Markov chain
  of first order. A neighbour that is masked too is left out.

Counts are smoothed: unigrams by one each, bigrams by `strength` counts that are spread as the unigrams are (MacKay and
Peto, "A hierarchical Dirichlet language model", 1995). The strength is the one of STRENGTHS that predicts a tenth of
the sample best from the rest.

Predictors see what the model sees. A position to predict that shows an ordinary token keeps it or has got a random one,
so unigram and bigram weigh that token by the share of each.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

STRENGTHS = (1.0, 10.0, 100.0, 1000.0)
TUNED_ON = 500  # positions
NOTHING = -1  # instead of a neighbour that there is not, or that is not known


class Blank(NamedTuple):
    """A position to predict. left, right: what the model sees beside it. shown: an ordinary token in it, or NOTHING."""

    label: int
    left: int
    right: int
    shown: int


@dataclass
class NgramScore:
    """Sums over positions. loss: −ln p(label)."""

    loss: float = 0.0
    correct: int = 0
    count: int = 0

    def add(self, probability: float, correct: bool) -> None:
        self.loss -= float(np.log(probability))
        self.correct += correct
        self.count += 1


class Prediction(NamedTuple):
    """Probabilities of a position's label, of the token that it shows, and of the likeliest token."""

    label: float
    shown: float
    top: float
    likeliest: int


class NgramCounts:
    """NgramCounts of tokens and of pairs of them.

    Args:
        segments: Token ids of documents, with special tokens. Pairs never cross the end of a segment.
        ordinary: [V] whether a token may be predicted: False for special ones.
    """

    def __init__(self, segments: Iterable[Ids], ordinary: Bools) -> None:
        size = len(ordinary)
        gap = np.array([size], dtype=np.int64)  # no token: a pair with it is none
        ids = np.concatenate([gap, *(part for segment in segments for part in (segment, gap))])
        counts = np.bincount(ids, minlength=size + 1)[:size]
        self.every: Floats = (counts + 1.0) / (counts.sum() + size)  # [V] frequencies of neighbours, special or not
        own = np.where(ordinary, counts + 1.0, 0.0)
        self.unigram: Floats = own / max(own.sum(), 1.0)  # [V]
        left, right = ids[:-1], ids[1:]
        real = (left < size) & (right < size)
        after, before = real & ordinary[right % size], real & ordinary[left % size]
        self.after = _Pairs(left[after], right[after], size)
        self.before = _Pairs(right[before], left[before], size)
        self.starts: Floats = np.bincount(left[before], minlength=size).astype(np.float64)  # [V] pairs that begin so


class Ngrams:
    """Predictors of a position, from counts. strength: of the smoothing of bigrams, in counts."""

    def __init__(self, counts: NgramCounts, strength: float) -> None:
        self.counts, self.strength = counts, strength
        self._starts = counts.starts + strength
        self._first, self._second = np.zeros((2, len(counts.unigram)))  # counts beside one position; zero between calls
        base = counts.unigram / self._starts
        # Without and with a known right neighbour, up to a factor: what smoothing gives to each token.
        self._smooth = (counts.unigram, base)
        self._sums = (float(counts.unigram.sum()), float(base.sum()))
        self._best = (int(counts.unigram.argmax()), int(base.argmax()))

    def unigram(self, blank: Blank) -> Prediction:
        frequencies, top = self.counts.unigram, self._best[0]
        return Prediction(
            float(frequencies[blank.label]), float(frequencies[max(blank.shown, 0)]), float(frequencies[top]), top
        )

    def bigram(self, blank: Blank) -> Prediction:
        """Only tokens that were counted beside a neighbour are added up one by one.

        All others have what smoothing gives them, whose sum and maximum are known.
        """
        counts, strength, known = self.counts, self.strength, blank.right != NOTHING
        behind, ahead = counts.after.of(blank.left), counts.before.of(blank.right)
        first, second, wanted = self._first, self._second, [blank.label, max(blank.shown, 0)]
        first[behind[0]], second[ahead[0]] = behind[1], ahead[1]
        alone = ahead[0][first[ahead[0]] == 0]  # each token once, without sorting
        tokens = np.concatenate([np.array(wanted), behind[0], alone])
        scale = strength * float(counts.every[blank.right]) if known else 1.0
        values = first[tokens] + strength * counts.unigram[tokens]
        if known:
            values *= (second[tokens] + scale) / self._starts[tokens]
        smooth, factor = self._smooth[known], strength * scale
        more = values[len(wanted) :] - factor * smooth[tokens[len(wanted) :]]  # what counts add to the smoothing
        first[behind[0]], second[ahead[0]] = 0.0, 0.0
        total = float(more.sum()) + factor * self._sums[known]
        at, likeliest = int(values.argmax()), self._best[known]
        top = factor * float(smooth[likeliest])
        if values[at] >= top:
            top, likeliest = float(values[at]), int(tokens[at])
        return Prediction(float(values[0]) / total, float(values[1]) / total, top / total, likeliest)


class _Pairs:
    """NgramCounts of pairs by their first token."""

    def __init__(self, first: Ids, second: Ids, size: int) -> None:
        keys, self._counts = np.unique(first * size + second, return_counts=True)
        self._second = keys % size
        self._ends = np.searchsorted(keys, np.arange(size + 1) * size)

    def of(self, token: int) -> tuple[Ids, NDArray[np.int64]]:
        """Returns (second tokens, counts), by token; nothing for NOTHING."""
        start, end = (int(self._ends[token]), int(self._ends[token + 1])) if token != NOTHING else (0, 0)
        return self._second[start:end], self._counts[start:end]


def fit(segments: Iterable[Ids], ordinary: Bools) -> Ngrams:
    """Returns predictors from the counts of all segments, with the strength of smoothing that suits them."""
    whole = list(segments)
    held, rest = whole[::10], [s for number, s in enumerate(whole) if number % 10]
    blanks = [
        Blank(int(s[i]), int(s[i - 1]), int(s[i + 1]), NOTHING)
        for s in held
        for i in range(1, len(s) - 1)
        if ordinary[s[i]]
    ]
    blanks = blanks[:: max(1, len(blanks) // TUNED_ON)]

    counts = NgramCounts(rest, ordinary)

    def loss(strength: float) -> float:
        found = Ngrams(counts, strength)
        return -sum(float(np.log(found.bigram(blank).label)) for blank in blanks)

    return Ngrams(NgramCounts(whole, ordinary), min(STRENGTHS, key=loss) if rest and blanks else STRENGTHS[1])


def find_blanks(ids: Ids, seen: Ids, chosen: Bools, segments: Sequence[int], mask_id: int) -> Iterator[Blank]:
    """Yields the positions to predict of a row, with what the model sees beside them in their segment.

    Args:
        ids, seen: [L] the true tokens, and those that the model sees.
        chosen: [L] whether a position is to be predicted.
        segments: Lengths, adding up to L.
    """
    ends = np.cumsum(segments)
    known = np.where(seen == mask_id, NOTHING, seen)
    for at in np.flatnonzero(chosen):
        end = int(ends[np.searchsorted(ends, at, side="right")])
        left = known[at - 1] if at and at not in ends else NOTHING
        right = known[at + 1] if at + 1 < end else NOTHING
        yield Blank(int(ids[at]), int(left), int(right), int(known[at]))


def score(ngrams: Ngrams, blanks: Iterable[Blank], *, kept: float, swapped: float) -> dict[str, NgramScore]:
    """Scores each predictor, by name.

    Args:
        kept: The share of the positions to predict that show their own token.
        swapped: The share that show a random one.
    """
    frequencies = ngrams.counts.unigram
    entries, top = int((frequencies > 0).sum()), int(frequencies.argmax())
    often = float(frequencies[top])
    scores = {"commonest": NgramScore(), "unigram": NgramScore(), "bigram": NgramScore()}
    for blank in blanks:
        chance = often if blank.label == top else (1 - often) / max(1, entries - 1)
        scores["commonest"].add(chance, blank.label == top)
        for name, predict in (("unigram", ngrams.unigram), ("bigram", ngrams.bigram)):
            found = _weigh_shown(predict(blank), blank, kept, swapped / entries)
            scores[name].add(found.label, blank.label == found.likeliest)
    return scores


def _weigh_shown(found: Prediction, blank: Blank, kept: float, swapped: float) -> Prediction:
    """Returns the prediction given the token that the position shows. swapped: the chance of each random token."""
    if blank.shown == NOTHING or not kept:
        return found
    total = kept * found.shown + swapped
    label = found.label * (kept * (blank.label == blank.shown) + swapped) / total
    stays, other = found.shown * (kept + swapped) / total, found.top * swapped / total
    if stays >= other:
        return Prediction(label, stays, stays, blank.shown)
    return Prediction(label, stays, other, found.likeliest)
