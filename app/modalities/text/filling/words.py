"""Candidates of several tokens as the answer lists them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.modalities.text.filling.texts import MaskedText
from app.modalities.text.items import FilledToken, FillMaskItem, WordCandidate
from app.modalities.text.wordpieces import Tokens, WordPieces
from app.types import Normalization


@dataclass(frozen=True)
class ScoredWord:
    """log_prob: of all its tokens. target: its index in the targets; None for a word that was found."""

    log_prob: float
    tokens: Tokens
    target: int | None = None

    @property
    def per_token(self) -> float:
        return self.log_prob / len(self.tokens)


def rank(words: Sequence[ScoredWord], normalization: Normalization) -> list[ScoredWord]:
    """Returns the words best first; those that are equally good stay in their order."""
    by_length = normalization is Normalization.LENGTH
    return sorted(words, key=lambda word: -(word.per_token if by_length else word.log_prob))


def total_log_prob(words: Sequence[ScoredWord]) -> float:
    """Returns the logarithm of the sum of the probabilities of different words."""
    different = {word.tokens: word.log_prob for word in words}
    return float(np.logaddexp.reduce(list(different.values())))


def list_candidates(
    words: Sequence[ScoredWord], item: FillMaskItem, text: MaskedText, index: int, wordpieces: WordPieces
) -> list[WordCandidate]:
    """Returns the candidates of mask number `index`, best first."""
    left, right = text.around(index)
    rescaled = total_log_prob(words) if item.renormalize else 0.0
    candidates = []
    for word in rank(words, item.normalization)[: item.top_k]:
        several = len(word.tokens) > 1
        given = item.targets[word.target].strip() if several and word.target is not None else None
        candidates.append(
            WordCandidate(
                math.exp(word.log_prob - rescaled),
                word.log_prob,
                math.exp(word.per_token),
                None if several else word.tokens[0],
                wordpieces.decoded_all(word.tokens) if given is None else given,
                [FilledToken(token, wordpieces.decoded(token)) for token in word.tokens],
                word.target,
                wordpieces.filled(left, right, *word.tokens, word=given),
            )
        )
    return candidates
