"""The pseudo-joint probability of filled masks: each token given all the others, as in a Markov random field.

Wang & Cho 2019, https://aclanthology.org/W19-2304.
"""

import math
from collections.abc import Generator, Sequence

from app.modalities.base import BatchRow
from app.modalities.text.filling.beam import Filling
from app.modalities.text.filling.rows import FillMaskInputs, Raw, RowMaker, read_log_probs

_Question = tuple[tuple[int, ...], int]  # a text with one mask open, and where


def pseudo_log_probs(
    fillings: Sequence[Filling], masks: Sequence[int], mask_id: int, rows: RowMaker
) -> Generator[Sequence[BatchRow[FillMaskInputs]], Sequence[Raw], list[float]]:
    """Returns for each filling the sum of log P(token | the text with only its mask open). One step.

    Fillings that differ in one mask only share the row of that mask.
    """
    if len(masks) == 1:  # nothing else was filled in
        return [each.log_prob for each in fillings]
    questions: dict[_Question, dict[int, None]] = {}
    for filling in fillings:
        for mask in masks:
            questions.setdefault(_open(filling, mask, mask_id), {})[filling.ids[mask]] = None
    raws = yield [rows.ask(list(ids), mask, tokens) for (ids, mask), tokens in questions.items()]
    known = dict(zip(questions, map(read_log_probs, raws), strict=True))
    return [
        math.fsum(known[_open(filling, mask, mask_id)][filling.ids[mask]] for mask in masks) for filling in fillings
    ]


def _open(filling: Filling, mask: int, mask_id: int) -> _Question:
    return (*filling.ids[:mask], mask_id, *filling.ids[mask + 1 :]), mask
