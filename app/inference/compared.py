"""The inputs, options and answers of comparisons."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import AppError
from app.inference.remote_media import RemoteMedia
from app.modalities.embedding import EmbedItem, EmbedOutput
from app.types import CompareMethod, InputType, SimilarityFunction, TruncationSide

MAX_TERMS = 4096  # of a sparse vector that is compared, those of the highest weights

Scores = NDArray[np.float64]
Input = str | tuple[int, ...] | bytes | RemoteMedia


@dataclass(frozen=True)
class ComparedSides:
    """The inputs that are compared.

    first, second: each of the first is compared with each of the second; None: with each of the first.
    pairwise: inputs at the same place are compared instead.
    ranked: the first are queries and the second documents, which have prompts of their own in some models.
    names: of the two fields in the request.
    """

    first: Sequence[Input]
    second: Sequence[Input] | None
    pairwise: bool = False
    ranked: bool = False
    names: tuple[str, str] = ("source", "targets")

    @property
    def others(self) -> Sequence[Input]:
        """The inputs that the first are compared with."""
        return self.first if self.second is None else self.second

    def pairs(self) -> list[tuple[int, int]]:
        """Returns the places of all pairs, those of each of the first together."""
        if self.pairwise:
            return [(place, place) for place in range(len(self.first))]
        return [(one, other) for one in range(len(self.first)) for other in range(len(self.others))]

    @contextmanager
    def naming(self, pairs: Sequence[tuple[int, int]] | None = None) -> Iterator[None]:
        """Makes errors within it name the field and the place of the input in it, instead of `input` of the task.

        pairs: the items of the task; None: they are the first inputs and then the second.
        """
        try:
            yield
        except AppError as error:
            if error.param == "output":
                error.param = "method"
            if error.param == "input":
                place, side = error.index or 0, 0
                if pairs is not None:
                    place, side = pairs[place][1], 1
                elif place >= len(self.first):
                    place, side = place - len(self.first), 1
                error.param = self.names[side if self.second is not None else 0]
                error.index = place if len((self.first, self.others)[side]) > 1 else None
            raise


@dataclass(frozen=True)
class CompareOptions:
    """method, function: None is the model's own way.

    raw_scores: outputs of a cross-encoder, without its activation.
    truncate: whether inputs that are too long are cut, or refused. None: they are embedded in windows, as the server
    is set, and cut for all other methods.
    """

    method: CompareMethod | None = None
    function: SimilarityFunction | None = None
    raw_scores: bool = False
    truncate: bool | None = None
    truncation_side: TruncationSide = TruncationSide.RIGHT

    def to_item(self, given: Any, output: EmbedOutput, purpose: InputType | None = None) -> EmbedItem:
        """Returns the item of an input whose vectors are compared."""
        return EmbedItem(
            given,
            terms=MAX_TERMS if output == "sparse" else None,
            output=output,
            normalize=None,
            truncate=bool(self.truncate),
            split=self.truncate is None,
            truncation_side=self.truncation_side,
            input_type=purpose,
        )


@dataclass(frozen=True)
class ComparedInputs:
    """The answer. scores: [S, T], or [N] if the sides are compared pairwise. tokens: that the model read."""

    model: str
    method: CompareMethod
    function: SimilarityFunction | None
    scores: Scores
    tokens: int


@dataclass(frozen=True)
class DocumentRanking:
    """The answer to a query. documents: (index, score) of each, best first. tokens: that the model read."""

    model: str
    method: CompareMethod
    documents: Sequence[tuple[int, float]]
    tokens: int
