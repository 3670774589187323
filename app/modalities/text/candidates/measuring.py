"""The options of candidates, applied to the steps of any way of filling masks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from torch import Tensor

from app.errors import InvalidValue
from app.modalities.base import BatchRow, Steps
from app.modalities.text.candidates.distribution import MeasuredRaw, Measures
from app.modalities.text.candidates.filters import VocabularyFilters
from app.modalities.text.candidates.mask_options import MaskOptions
from app.modalities.text.candidates.options import Distribution
from app.modalities.text.candidates.results import MeasuredPrediction
from app.modalities.text.filling.rows import FillMaskInputs, Raw
from app.modalities.text.items import (
    Candidate,
    FillMaskItem,
    FillMaskResult,
    MaskPrediction,
    RankedToken,
)
from app.modalities.text.wordpieces import WordPieces
from app.types import FillStrategy

Row = BatchRow[FillMaskInputs]
FillSteps = Steps[FillMaskInputs, Raw, FillMaskResult]


@dataclass(frozen=True)
class Measuring:
    """Applies the filter and the distribution of items to the rows that answer them."""

    filters: VocabularyFilters
    wordpieces: WordPieces
    mask_id: int

    def filter_targets(self, item: FillMaskItem) -> FillMaskItem:
        """Returns the item with those of its targets that pass its filter. Raises InvalidValue if there are none.

        A target that is given twice passes twice.
        """
        if not item.targets or not item.filter:
            return item
        return replace(item, targets=self.filters.keep(item.filter, item.targets, item.text))

    def find_allowed(self, item: FillMaskItem) -> Tensor | None:
        """Returns the entries that may be candidates; None for all. Raises InvalidValue."""
        return self.filters.find(item.filter, item.text) if item.filter and not item.targets else None

    def steps(self, item: FillMaskItem, steps: FillSteps) -> FillSteps:
        """Returns the steps of an item with its options. Raises InvalidValue.

        steps: of the item without them. Its first raw results are of all masks, in the order of the text.
        """
        if item.filter.no_repeats and item.decode is FillStrategy.INDEPENDENT:
            raise InvalidValue(
                "`no_repeats`: `decode` independent fills each mask without the others, so words may repeat",
                param="no_repeats",
            )
        return self._steps(item, self.find_allowed(item), steps)

    def restrict(self, item: FillMaskItem, steps: FillSteps) -> FillSteps:
        """Returns the steps of an item without candidates of one token for each mask. Raises InvalidValue.

        Its filter and its temperature apply to every row. What is measured of single masks is refused, and for spans
        `no_repeats`, since the words of a span are not known before it is filled.
        """
        unknown = {"sample", "entropy"} | ({"no_repeats"} if item.has_spans else set())
        if refused := next((name for name in item.choices if name in unknown), None):
            what = "spans of masks" if item.has_spans else "targets of several tokens"
            raise InvalidValue(f"`{refused}` is not for {what}", param=refused)
        return self._restrict(item, self.find_allowed(item), steps)

    def _restrict(self, item: FillMaskItem, allowed: Tensor | None, steps: FillSteps) -> FillSteps:
        temperature = Distribution(temperature=item.distribution.temperature)
        rows = next(steps)
        while True:
            raws = yield [
                _with_options(row, MaskOptions(temperature, None if row.inputs.targets else allowed)) for row in rows
            ]
            try:
                rows = steps.send(raws)
            except StopIteration as end:
                result: FillMaskResult = end.value
                return result

    def _steps(self, item: FillMaskItem, allowed: Tensor | None, steps: FillSteps) -> FillSteps:
        rows = next(steps)
        firsts = np.cumsum([0, *(len(row.inputs.positions) for row in rows)]).tolist()
        raws = yield [
            _with_options(row, MaskOptions(item.distribution, allowed, first))
            for row, first in zip(rows, firsts, strict=False)
        ]
        measures = [raw.measures for raw in raws if isinstance(raw, MeasuredRaw)]
        begin, temperature = rows[0].inputs, Distribution(temperature=item.distribution.temperature)
        while True:
            try:
                rows = steps.send(raws)
            except StopIteration as end:
                return self._complete(item, end.value, measures)
            raws = yield [
                _with_options(row, MaskOptions(temperature, self._without_repeats(item, allowed, begin, row.inputs)))
                for row in rows
            ]

    def _without_repeats(
        self, item: FillMaskItem, allowed: Tensor | None, begin: FillMaskInputs, row: FillMaskInputs
    ) -> Tensor | None:
        """Returns the entries that do not repeat what fills other masks of the row, if no word may be repeated."""
        if allowed is None or row.targets:  # the probabilities of given tokens
            return None
        if not item.filter.no_repeats:
            return allowed
        filled = [row.ids[place] for place in begin.positions if row.ids[place] != self.mask_id]
        repeated = self.filters.repeated_by(map(self.filters.word_of, filled))
        left = allowed.clone()
        left[repeated] = False
        if not left.any():
            raise InvalidValue(
                "`no_repeats`: fewer different words pass the filters than there are masks", param="no_repeats"
            )
        return left

    def _complete(self, item: FillMaskItem, result: FillMaskResult, measures: Sequence[Measures]) -> FillMaskResult:
        measured_masks = chain.from_iterable(map(split_measures, measures))
        masks: list[MaskPrediction] = []
        for mask, measured in zip(result.masks, measured_masks, strict=True):
            share = measured.share if item.renormalize and not item.targets else 1.0
            masks.append(
                MeasuredPrediction(
                    mask.position,
                    mask.start,
                    mask.end,
                    [
                        replace(each, score=each.score / share)
                        for each in mask.candidates
                        if isinstance(each, Candidate)
                    ],
                    measured.entropy,
                    self.name_samples(measured, share),
                )
            )
        return replace(result, masks=masks)

    def name_samples(self, measured: "MaskMeasures", share: float) -> list[RankedToken] | None:
        """Returns the samples of a mask. share: what their probabilities are divided by."""
        if measured.samples is None:
            return None
        return [
            RankedToken(float(np.exp(log_prob)) / share, token, self.wordpieces.decoded(token))
            for log_prob, token in measured.samples
        ]


@dataclass(frozen=True)
class MaskMeasures:
    """The measures of one mask. samples: (log-probability, token)."""

    share: float
    entropy: float | None
    samples: list[tuple[float, int]] | None


def split_measures(measures: Measures) -> list[MaskMeasures]:
    """Returns the measures of each mask of a row."""
    count = len(measures.shares)
    entropies = [None] * count if measures.entropies is None else measures.entropies.tolist()
    samples: list[list[tuple[float, int]] | None] = [None] * count
    if measures.draws is not None:
        samples = [list(zip(*pair, strict=True)) for pair in zip(*(a.tolist() for a in measures.draws), strict=True)]
    return list(map(MaskMeasures, measures.shares.tolist(), entropies, samples))


def _with_options(row: Row, options: MaskOptions) -> Row:
    return replace(row, inputs=replace(row.inputs, options=options))
