"""Several masks filled together: a beam search over the masks of one text. Pure NumPy.

As in X-FACTR (Jiang et al. 2020, https://aclanthology.org/2020.emnlp-main.479): by confidence, each
hypothesis next fills that of its masks of which the model is most certain, given all that it has
filled already, whatever their order in the text; or from left to right.
"""

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from app.errors import AppError
from app.modalities.base import BatchRow
from app.types import FillOrder

Scores = tuple[NDArray[np.float32], NDArray[np.int64]]  # log-probabilities and tokens, [masks, k] each, best first


Inputs = TypeVar("Inputs")


@dataclass(frozen=True)
class Filling:
    """ids: of the text, with some masks filled. open: where others are, ascending. log_prob: of what was filled."""

    ids: list[int]
    open: list[int]
    log_prob: float

    def next_masks(self, order: FillOrder) -> list[int]:
        """Returns the masks of which one is filled next."""
        return self.open[:1] if order is FillOrder.LEFT_TO_RIGHT else self.open


def search(
    ids: list[int],
    masks: list[int],
    width: int,
    order: FillOrder,
    row: Callable[[list[int], list[int]], BatchRow[Inputs]],
    first: Scores | None = None,
) -> Generator[Sequence[BatchRow[Inputs]], Sequence[Scores], list[Filling]]:
    """At most `width` fillings of all `masks` (positions in `ids`), best first; each step has one row a hypothesis.

    row: ids and positions of masks → what gives their scores.
    first: the scores of all masks with nothing filled, where they are known.
    """
    beam = [Filling(ids, masks, 0.0)]
    if first is not None and masks:
        asked = len(beam[0].next_masks(order))
        beam = _best([(beam[0], (first[0][:asked], first[1][:asked]))], width)
    while beam and beam[0].open:
        raws = yield [row(each.ids, each.next_masks(order)) for each in beam]
        beam = _best(list(zip(beam, raws, strict=True)), width)
    return beam


def _best(hypotheses: Sequence[tuple[Filling, Scores]], width: int) -> list[Filling]:
    """Each hypothesis goes on in its most certain mask; of all that come of it the best `width` stay."""
    found: dict[tuple[int, ...], Filling] = {}
    for hypothesis, (scores, tokens) in hypotheses:
        if np.isnan(scores).any():
            raise AppError("the model computed numbers that are not finite for this input")
        surest = int(scores[:, 0].argmax())
        place = hypothesis.open[surest]
        still_open = hypothesis.open[:surest] + hypothesis.open[surest + 1 :]
        for score, token in zip(scores[surest].tolist(), tokens[surest].tolist(), strict=True):
            ids = [*hypothesis.ids[:place], token, *hypothesis.ids[place + 1 :]]
            filling = Filling(ids, still_open, hypothesis.log_prob + score)
            known = found.get(tuple(ids))  # two orders may lead to one text
            if filling.log_prob > (known.log_prob if known else -math.inf):
                found[tuple(ids)] = filling
    return sorted(found.values(), key=lambda filling: -filling.log_prob)[:width]
