"""Scores of targets of several tokens: the mask is expanded to as many masks as a target has tokens.

The score's logarithm is the sum of the log-probabilities of the tokens, each with the target's later tokens masked:
the within-word pseudo-log-likelihood of Kauf & Ivanova 2023 (https://aclanthology.org/2023.acl-short.80).
"""

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from app.modalities.base import BatchRow
from app.modalities.text.filling.rows import FillMaskInputs, Raw, RowMaker, read_log_probs
from app.modalities.text.filling.words import ScoredWord
from app.modalities.text.wordpieces import Tokens

# The number of masks that a target is given, and those of its tokens that are filled in already.
_Prefix = tuple[int, Tokens]


def expand(ids: list[int], position: int, length: int, filled: Tokens = ()) -> list[int]:
    """Returns the ids with the mask at `position` repeated `length` times, the first ones replaced by tokens."""
    mask = ids[position]
    return [*ids[:position], *filled, *[mask] * (length - len(filled)), *ids[position + 1 :]]


@dataclass(frozen=True)
class TargetScores:
    """Scores the ways of writing targets at masks. Targets with the same beginning share rows.

    targets: the ways of writing each target. numbers: of each in the request; empty: as they are here.
    """

    targets: Sequence[Sequence[Tokens]]
    numbers: Sequence[int] = ()

    @property
    def longest(self) -> int:
        """The number of tokens of the longest target."""
        return max(len(way) for ways in self.targets for way in ways)

    def count_rows(self, masks: int) -> int:
        return masks * len(self._questions())

    def run(
        self, ids: list[int], masks: Sequence[int], rows: RowMaker
    ) -> Generator[Sequence[BatchRow[FillMaskInputs]], Sequence[Raw], list[list[ScoredWord]]]:
        """Returns each target in its best way of writing, [masks][targets]. One step."""
        questions = self._questions()
        raws = yield [
            rows.ask(expand(ids, mask, length, prefix), mask + len(prefix), tokens)
            for mask in masks
            for (length, prefix), tokens in questions.items()
        ]
        answers = iter(raws)
        found = []
        for _ in masks:
            known = {question: read_log_probs(next(answers)) for question in questions}
            found.append(
                [
                    ScoredWord(*max((_sum(way, known.__getitem__), way) for way in ways), number)
                    for number, ways in zip(self.numbers or count(), self.targets, strict=False)
                ]
            )
        return found

    def _questions(self) -> dict[_Prefix, dict[int, None]]:
        """Returns the tokens that are asked for after each prefix, in order."""
        questions: dict[_Prefix, dict[int, None]] = {}
        for ways in self.targets:
            for way in ways:
                for prefix, token in _split(way):
                    questions.setdefault(prefix, {})[token] = None
        return questions


def _split(way: Tokens) -> Iterator[tuple[_Prefix, int]]:
    for index, token in enumerate(way):
        yield (len(way), way[:index]), token


def _sum(way: Tokens, find: Callable[[_Prefix], dict[int, float]]) -> float:
    return math.fsum(find(prefix)[token] for prefix, token in _split(way))
