"""Labelled tokens → entities, as the `token-classification` pipeline of transformers groups them.

https://github.com/huggingface/transformers/blob/main/src/transformers/pipelines/token_classification.py
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from app.modalities.classification import Entity, TokenOptions
from app.types import Aggregation

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TokenScores:
    """start, end: characters of the text. index: among the tokens that the model read. scores: [L] probabilities."""

    id: int
    start: int
    end: int
    index: int
    scores: Floats


@dataclass(frozen=True)
class _Token(TokenScores):
    """word: as the vocabulary writes it. continues: it continues the word of the token before it."""

    word: str
    continues: bool


class EntityFinder:
    """Groups the tokens of texts. labels: one for each score of a token."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, labels: Sequence[str]) -> None:
        self._tokenizer, self._labels = tokenizer, labels
        # Vocabularies with such a prefix tell where words end. Of others, the text does.
        self._has_prefix = bool(getattr(tokenizer.backend_tokenizer.model, "continuing_subword_prefix", None))

    def __deepcopy__(self, memo: object) -> "EntityFinder":
        return self  # replicas of a model share it

    def find(self, text: str, scored: Sequence[TokenScores], options: TokenOptions) -> list[Entity]:
        """Returns the entities of a text, or its tokens without grouping, but for those with ignored labels."""
        tokens = [self._name(text, token) for token in scored]
        if options.aggregation is Aggregation.NONE:
            found = [self._entity([token], token.scores, token.word, token.index) for token in tokens]
        elif options.aggregation is Aggregation.SIMPLE:
            found = self._group([self._entity([token], token.scores, token.word) for token in tokens])
        else:
            found = self._group([self._word(tokens, options.aggregation) for tokens in _words(tokens)])
        ignored = frozenset(options.ignore_labels)
        return [entity for entity in found if entity.label not in ignored]

    def _name(self, text: str, token: TokenScores) -> _Token:
        word = str(self._tokenizer.convert_ids_to_tokens(token.id))
        written = text[token.start : token.end]
        if token.id == self._tokenizer.unk_token_id:
            word, continues = written, False
        elif self._has_prefix:
            continues = len(word) != len(written)
        else:
            continues = token.start > 0 and " " not in text[token.start - 1 : token.start + 1]
        return _Token(token.id, token.start, token.end, token.index, token.scores, word, continues)

    def _word(self, tokens: Sequence[_Token], aggregation: Aggregation) -> Entity:
        return self._entity(tokens, _word_scores(tokens, aggregation), self._join([token.word for token in tokens]))

    def _entity(self, tokens: Sequence[_Token], scores: Floats, word: str, index: int | None = None) -> Entity:
        """Returns tokens with the label of the highest score."""
        best = int(scores.argmax())
        return Entity(self._labels[best], float(scores[best]), word, tokens[0].start, tokens[-1].end, index)

    def _join(self, words: Sequence[str]) -> str:
        return str(self._tokenizer.convert_tokens_to_string(list(words)))

    def _group(self, entities: Sequence[Entity]) -> list[Entity]:
        """Joins neighbours with labels of one kind; a label with the prefix B- begins an entity."""
        groups: list[list[Entity]] = []
        for entity in entities:
            begins, kind = _parse(entity.label)
            if groups and not begins and kind == _parse(groups[-1][-1].label)[1]:
                groups[-1].append(entity)
            else:
                groups.append([entity])
        return [
            Entity(
                label=group[0].label.split("-", 1)[-1],
                score=float(np.mean([entity.score for entity in group])),
                word=self._join([entity.word for entity in group]),
                start=group[0].start,
                end=group[-1].end,
                index=None,
            )
            for group in groups
        ]


def merge_windows(windows: Sequence[Sequence[Entity]]) -> list[Entity]:
    """Joins the entities of windows. Of two that overlap, the longer stays, else the more certain."""
    merged: list[Entity] = []
    for entity in sorted(chain.from_iterable(windows), key=lambda entity: entity.start):
        if not merged or not merged[-1].start <= entity.start < merged[-1].end:
            merged.append(entity)
        elif _weight(entity) > _weight(merged[-1]):
            merged[-1] = entity
    return merged


def _weight(entity: Entity) -> tuple[int, float]:
    return entity.end - entity.start, entity.score


def _parse(label: str) -> tuple[bool, str]:
    """Returns whether a label begins an entity, and its kind."""
    return label.startswith("B-"), label[2:] if label.startswith(("B-", "I-")) else label


def _words(tokens: Sequence[_Token]) -> Iterator[list[_Token]]:
    word: list[_Token] = []
    for token in tokens:
        if word and not token.continues:
            yield word
            word = []
        word.append(token)
    if word:
        yield word


def _word_scores(word: Sequence[_Token], aggregation: Aggregation) -> Floats:
    if aggregation is Aggregation.FIRST:
        return word[0].scores
    if aggregation is Aggregation.MAX:
        return max(word, key=lambda token: float(token.scores.max())).scores
    return np.asarray(np.mean([token.scores for token in word], axis=0))
