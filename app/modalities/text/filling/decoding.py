"""The ways of filling all masks of a text together."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from app.modalities.base import BatchRow
from app.modalities.text.filling import gibbs
from app.modalities.text.filling.beam import Filling, search
from app.modalities.text.filling.rows import FillMaskInputs, Raw, RowMaker, TokenChoice
from app.modalities.text.wordpieces import Spellings
from app.types import FillOrder, FillStrategy

_Fillings = Generator[Sequence[BatchRow[FillMaskInputs]], Sequence[Raw], list[Filling]]


@dataclass(frozen=True)
class Decoder:
    """Fills all masks of a text.

    count: fillings that are looked for. order: in which masks are filled. seed: of random draws.
    targets: the only candidates; empty: the vocabulary.
    """

    kind: FillStrategy
    count: int
    order: FillOrder
    seed: int
    rows: RowMaker
    targets: tuple[Spellings, ...] = ()

    def fill(self, ids: list[int], masks: list[int], first: Raw | None = None) -> _Fillings:
        """Returns at most `count` fillings. first: the best `count` candidates of each mask, where they are known."""
        if first is None:
            (first,) = yield [self._best(ids, masks)]
        if self.kind is FillStrategy.INDEPENDENT:
            return combine(ids, masks, first, self.count)
        if self.kind is FillStrategy.GIBBS:
            in_order = masks
            if self.order is FillOrder.CONFIDENCE:
                in_order = [masks[index] for index in np.argsort(-first[0][:, 0], kind="stable")]
            return (yield from gibbs.sample(ids, in_order, self.count, self.seed, self._draw))
        width = 1 if self.kind is FillStrategy.GREEDY else self.count
        return (yield from search(ids, masks, width, self.order, self._best, first))

    def count_rows(self, masks: int) -> int:
        """Returns how many rows `fill` takes, and the pseudo-joint probabilities of its fillings, at most."""
        judged = 1 + self.count * masks
        if self.kind is FillStrategy.INDEPENDENT:
            return judged
        if self.kind is FillStrategy.GIBBS:
            return judged + gibbs.count_rows(masks, self.count)
        return judged + self.count * (masks - 1)

    def _best(self, ids: list[int], masks: list[int]) -> BatchRow[FillMaskInputs]:
        return self.rows.best(ids, masks, self.count, self.targets)

    def _draw(self, ids: list[int], mask: int, draw: float) -> BatchRow[FillMaskInputs]:
        return self.rows.best(ids, [mask], 1, self.targets, TokenChoice(draws=(draw,)))


def combine(ids: list[int], masks: list[int], scores: Raw, count: int) -> list[Filling]:
    """Returns the `count` best combinations of candidates of masks that know nothing of one another, best first."""
    found = [Filling(ids, [], 0.0)]
    for mask, log_probs, tokens in zip(masks, *scores, strict=True):
        grown = [
            Filling([*each.ids[:mask], token, *each.ids[mask + 1 :]], [], each.log_prob + log_prob)
            for each in found
            for log_prob, token in zip(log_probs[:count].tolist(), tokens[:count].tolist(), strict=True)
        ]
        found = sorted(grown, key=lambda each: -each.log_prob)[:count]
    return found
