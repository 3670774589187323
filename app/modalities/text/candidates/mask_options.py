"""Options for the scores of the masks of a row."""

from dataclasses import dataclass

from torch import Tensor

from app.modalities.text.candidates.options import PLAIN_DISTRIBUTION, Distribution


@dataclass(frozen=True)
class MaskOptions:
    """The options of one row.

    allowed: entries that may be candidates, [entries] bool; None: all.
    first: number of the row's first mask in its item, which the draws depend on.
    truths: the token at each mask, whose log-probability and rank are measured; empty: none.
    """

    distribution: Distribution = PLAIN_DISTRIBUTION
    allowed: Tensor | None = None
    first: int = 0
    truths: tuple[int, ...] = ()
