"""Whole words as candidates: a beam search inside a mask that is expanded to one to MAX_TOKENS masks."""

import unicodedata
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import torch

from app.modalities.base import BatchRow
from app.modalities.text.filling.beam import Filling, search
from app.modalities.text.filling.reading import ReadText
from app.modalities.text.filling.rows import FillMaskInputs, Raw, RowMaker, TokenChoice, TokenSet
from app.modalities.text.filling.targets import expand
from app.modalities.text.filling.texts import MaskedText
from app.modalities.text.filling.together import run_together
from app.modalities.text.filling.words import ScoredWord
from app.modalities.text.word_starts import mark_continuations
from app.modalities.text.wordpieces import WordPieces
from app.types import FillOrder

MAX_TOKENS = 4  # of a word
_LEAST_WIDTH = 8  # of the beam: a word's first token may be improbable
_JOINERS = "'’-"  # inside words
_BROKEN = "\ufffd"  # a byte-level token may be a part of a letter


class WordTokens:
    """The tokens of a vocabulary that words consist of. entries: tokens that have a name."""

    def __init__(self, wordpieces: WordPieces, entries: int) -> None:
        self._wordpieces = wordpieces
        self._entries = entries

    def __deepcopy__(self, memo: object) -> "WordTokens":
        return self  # replicas of a model share it

    def begins(self, text: MaskedText, index: int) -> TokenSet:
        """Returns the tokens that begin a word at mask number `index`."""
        if not self._wordpieces.marks_starts:
            return self._starts
        if not self._wordpieces.mask_eats_space:  # the space is a token of its own
            return self._continuations
        start, _ = text.spans[index]
        before = text.text[:start]
        attached = bool(before) and not before[-1].isspace() and not before[-1].isalnum()
        follows_mask = any(end == start for _, end in text.spans[:index])
        return self._any if (attached and not follows_mask) or not before.strip() else self._starts

    @property
    def continues(self) -> TokenSet:
        """The tokens that go on with a word."""
        return self._continuations

    @cached_property
    def _sets(self) -> tuple[TokenSet, TokenSet, TokenSet]:
        tokenizer = self._wordpieces.tokenizer
        goes_on = mark_continuations(tokenizer, self._entries)
        special = set(tokenizer.all_special_ids)
        texts = [self._wordpieces.letters(token) if token not in special else "" for token in range(self._entries)]
        starts = [i for i, text in enumerate(texts) if not goes_on[i] and _is_part(text) and text[0] not in _JOINERS]
        rest = [i for i, text in enumerate(texts) if goes_on[i] and _is_part(text)]
        bare = [i for i in rest if texts[i][0] not in _JOINERS]
        return (
            TokenSet(torch.tensor(starts)),
            TokenSet(torch.tensor(rest)),
            TokenSet(torch.tensor(sorted(starts + bare))),
        )

    @property
    def _starts(self) -> TokenSet:
        return self._sets[0]

    @property
    def _continuations(self) -> TokenSet:
        return self._sets[1]

    @property
    def _any(self) -> TokenSet:
        return self._sets[2]


def is_word(text: str) -> bool:
    """Returns whether a text is one word: letters, digits and marks, with apostrophes and hyphens inside."""
    return bool(text) and _BROKEN not in text and _is_part(text) and not {text[0], text[-1]} & set(_JOINERS)


def _is_part(text: str) -> bool:
    return bool(text) and all(
        letter.isalnum() or letter in _JOINERS or letter == _BROKEN or unicodedata.category(letter).startswith("M")
        for letter in text
    )


@dataclass(frozen=True)
class WordSearch:
    """Finds the most probable whole words at each mask. top_k: words that are asked for."""

    tokens: WordTokens
    wordpieces: WordPieces
    rows: RowMaker
    top_k: int

    @property
    def width(self) -> int:
        return max(self.top_k, _LEAST_WIDTH)

    def count_rows(self, masks: int) -> int:
        return masks * sum(1 + self.width * (length - 1) for length in range(1, MAX_TOKENS + 1))

    def run(
        self, read: ReadText
    ) -> Generator[Sequence[BatchRow[FillMaskInputs]], Sequence[Raw], list[list[ScoredWord]]]:
        """Returns the words of each mask. All lengths of all masks take their steps together."""
        lengths = range(1, MAX_TOKENS + 1 if len(self.tokens.continues.ids) else 2)
        searches = [
            search(
                expand(read.ids, mask, length),
                list(range(mask, mask + length)),
                self.width,
                FillOrder.LEFT_TO_RIGHT,
                partial(self._row, start=mask, begins=self.tokens.begins(read.text, index)),
            )
            for index, mask in enumerate(read.masks, read.first)
            for length in lengths
        ]
        found = iter((yield from run_together(searches)))
        return [self._collect(mask, [(length, next(found)) for length in lengths]) for mask in read.masks]

    def _row(self, ids: list[int], masks: list[int], start: int, begins: TokenSet) -> BatchRow[FillMaskInputs]:
        allowed = begins if masks[0] == start else self.tokens.continues
        return self.rows.best(ids, masks, self.width, choice=TokenChoice(allowed))

    def _collect(self, mask: int, found: Sequence[tuple[int, Sequence[Filling]]]) -> list[ScoredWord]:
        """Returns different words; one that can be written in several ways is written in the most probable one."""
        words: dict[str, ScoredWord] = {}
        for length, fillings in found:
            for filling in fillings:
                word = ScoredWord(filling.log_prob, tuple(filling.ids[mask : mask + length]))
                written = self.wordpieces.decoded_all(word.tokens).strip()
                known = words.get(written)
                if is_word(written) and (known is None or word.log_prob > known.log_prob):
                    words[written] = word
        return list(words.values())
