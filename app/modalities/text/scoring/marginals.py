"""Variants of a sequence: how much more probable the new letters are than those of the wild type.

As in ESM-1v (Meier et al. 2021, https://doi.org/10.1101/2021.07.09.450648). Masked marginals mask the position of a
substitution; wild-type marginals show the model the whole wild type. The score of several substitutions is the sum of
theirs, each with the others' positions as in the wild type. The paper masks them together; ESM's own script and
ProteinGym's add them up, so each position is computed once, whatever the number of variants.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from app.errors import AppError, InputTooLong, InvalidValue
from app.modalities.base import BatchRow, Steps
from app.modalities.text.encoding import TextEncoder
from app.modalities.text.filling.rows import count_cost
from app.modalities.text.items import MAX_ROWS
from app.modalities.text.scoring.items import VariantMethod, VariantScore, VariantsItem, VariantsResult
from app.modalities.text.scoring.letters import LetterReader, LetterText
from app.modalities.text.scoring.notation import (
    MAX_SUBSTITUTIONS,
    Substitution,
    Variant,
    read_variants,
    refuse_variant,
)
from app.modalities.text.scoring.reading import ScoredPart, check_window_rows, cut_windows
from app.modalities.text.scoring.rows import LetterScores, RawScore, ScoreInputs
from app.modalities.text.windows import MAX_WINDOWS
from app.types import TruncationSide


@dataclass(frozen=True)
class _Question:
    """Variants whose letters are tokens of the model.

    names: of the variants. tokens: of their new letters. places: of the letters that are replaced, in order.
    """

    wild_type: LetterText
    names: Sequence[str]
    variants: Sequence[Variant]
    tokens: Mapping[str, int]
    places: Sequence[int]


class VariantScorer:
    """Scores variants of sequences whose letters are tokens.

    overlap: number of tokens that contain a letter; a model of overlapping k-mers is refused.
    """

    def __init__(self, encoder: TextEncoder, *, vocabulary: int, max_length: int, overlap: int) -> None:
        self._encoder = encoder
        self._letters = LetterReader(encoder, vocabulary)
        self._vocabulary, self._max_length, self._overlap = vocabulary, max_length, overlap

    def steps(self, item: VariantsItem) -> Steps[ScoreInputs, RawScore, VariantsResult]:
        """Raises EmptyInput, InputTooLong, and InvalidValue for variants that the model cannot score."""
        if self._overlap > 1:
            raise InvalidValue("variants need a model that reads each letter as one token, not k-mers", param="input")
        self._check_length(item)
        wild_type = self._letters.read(item.text)
        question = self._ask_all(item, wild_type) if item.variants is None else self._ask(item, wild_type)
        if item.windows and item.method is VariantMethod.MASKED_MARGINALS:
            check_window_rows(len(question.places), MAX_ROWS)
        parts = cut_windows(wild_type.ids, question.places, self._encoder, self._max_length, item.stride)
        return self._one_step(question, item.method, parts)

    def _check_length(self, item: VariantsItem) -> None:
        """Raises InputTooLong before the text is tokenized: its letters are its tokens."""
        text = item.text
        if item.windows:
            self._encoder.check_characters(text, self._max_length, MAX_WINDOWS, f"a sequence in {MAX_WINDOWS} windows")
            return
        letters = sum(map(len, text.split()))
        room = self._max_length - len(self._encoder.prefix) - len(self._encoder.suffix)
        if letters > room:
            raise InputTooLong(
                f"the input has {letters} letters and the model reads at most {room}; set `overflow` to windows",
                param="input",
            )
        self._encoder.shorten(text, self._max_length, truncate=False, side=TruncationSide.RIGHT)  # mostly white space

    def _ask(self, item: VariantsItem, wild_type: LetterText) -> _Question:
        names = item.variants or ()
        variants = read_variants(names, wild_type.letters, item.offset)
        first: dict[str, int] = {}  # index of the first variant with each new letter
        for index, variant in enumerate(variants):
            for each in variant:
                first.setdefault(each.letter, index)
        neighbours = set(wild_type.letters).union(first)
        self._check_work(len(first) * len(neighbours), "variants")
        tokens = {}
        for letter, index in first.items():
            token = self._letters.find_token(letter, wild_type, neighbours)
            if token is None:
                raise refuse_variant(index, names[index], f"the model has no token for {letter} in this input")
            tokens[letter] = token
        places = sorted({each.place for variant in variants for each in variant})
        for place in places:
            if not self._letters.is_known(wild_type.ids[place]):
                index = next(n for n, variant in enumerate(variants) if any(each.place == place for each in variant))
                raise refuse_variant(index, names[index], self._unknown_letter(wild_type, place, item.offset))
        return _Question(wild_type, names, variants, tokens, places)

    def _ask_all(self, item: VariantsItem, wild_type: LetterText) -> _Question:
        wanted = dict.fromkeys(item.letters or self._letters.alphabet())
        self._check_work(len(wanted) * len(wild_type.letters), "letters")
        neighbours = set(wild_type.letters)
        found = {letter: self._letters.find_token(letter, wild_type, neighbours) for letter in wanted}
        tokens = {letter: token for letter, token in found.items() if token is not None}
        if item.letters and len(tokens) < len(found):
            missing = next(letter for letter, token in found.items() if token is None)
            raise InvalidValue(f"`letters`: the model has no token for {missing} in this input", param="letters")
        if not tokens:
            raise InvalidValue("variants need a model whose vocabulary has letters as tokens", param="input")
        for place, token in enumerate(wild_type.ids):
            if not self._letters.is_known(token):
                raise InvalidValue(f"the input: {self._unknown_letter(wild_type, place, item.offset)}", param="input")
        variants = [
            [Substitution(place, letter)]
            for place, old in enumerate(wild_type.letters)
            for letter in tokens
            if letter != old
        ]
        names = [f"{wild_type.letters[place]}{place + item.offset}{letter}" for ((place, letter),) in variants]
        return _Question(wild_type, names, variants, tokens, range(len(wild_type.letters)))

    def _check_work(self, pairs: int, param: str) -> None:
        if pairs > MAX_SUBSTITUTIONS:
            raise InvalidValue(
                f"`{param}` and the letters of the input make {pairs} pairs; one request may have {MAX_SUBSTITUTIONS}",
                param=param,
            )

    def _unknown_letter(self, wild_type: LetterText, place: int, offset: int) -> str:
        return f"the model has no token for {wild_type.letters[place]} at position {place + offset}"

    def _one_step(
        self, question: _Question, method: VariantMethod, parts: Sequence[ScoredPart]
    ) -> Steps[ScoreInputs, RawScore, VariantsResult]:
        old = {question.wild_type.ids[place] for place in question.places}
        letters = tuple(sorted(old.union(question.tokens.values())))
        rows = [
            ScoreInputs(part.ids, masked, read, letters=letters)
            for part in parts
            for masked, read in _masks(method, [place + part.shift for place in part.places])
        ]
        costs = (count_cost(len(row.ids), len(row.places), self._vocabulary) for row in rows)
        raws = yield [BatchRow(row, cost) for row, cost in zip(rows, costs, strict=True)]
        table = np.concatenate([np.asarray(raw, np.float64) for raw in raws])  # [places, letters]
        return VariantsResult(_add_up(question, letters, table), tokens=sum(len(part.ids) for part in parts))


def _masks(method: VariantMethod, positions: list[int]) -> list[tuple[list[int], list[int]]]:
    """Returns for each row of a part the positions that are masked, and those that are read."""
    if method is VariantMethod.MASKED_MARGINALS:
        return [([each], [each]) for each in positions]
    return [([], positions)]


def _add_up(question: _Question, letters: Sequence[int], table: LetterScores) -> list[VariantScore]:
    """table: log-probabilities [places, letters] of the tokens `letters`."""
    if not question.variants:  # no letter but that of the wild type is asked for
        return []
    if not np.isfinite(table).all():
        raise AppError("the model computed numbers that are not finite for this input")
    column = {token: index for index, token in enumerate(letters)}
    own = [column[question.wild_type.ids[place]] for place in question.places]
    gains = table - table[np.arange(len(own)), own][:, None]  # over the wild type's letter
    row = {place: index for index, place in enumerate(question.places)}
    at = {letter: column[token] for letter, token in question.tokens.items()}
    flat = list(chain.from_iterable(question.variants))
    each = gains[[row[place] for place, _ in flat], [at[letter] for _, letter in flat]]
    lengths = [len(variant) for variant in question.variants]
    sums = np.add.reduceat(each, np.cumsum([0, *lengths[:-1]])).tolist()
    return [VariantScore(name, total) for name, total in zip(question.names, sums, strict=True)]
