"""Masks by meaning: the tokens of a text that a request names are masked together, and predicted."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from torch import Tensor

from app.errors import AppError, EmptyInput, InvalidValue
from app.modalities.base import BatchRow
from app.modalities.text.candidates.distribution import MeasuredRaw
from app.modalities.text.candidates.groups import MaskGroup, check_spans, draw_groups, find_spans, find_words
from app.modalities.text.candidates.mask_options import MaskOptions
from app.modalities.text.candidates.measuring import FillSteps, Measuring, split_measures
from app.modalities.text.candidates.options import MaskChoice
from app.modalities.text.candidates.results import MaskedGroup, MaskedResult, MaskedToken
from app.modalities.text.encoding import Content, TextEncoder
from app.modalities.text.filling.rows import FillMaskInputs, Raw, RowMaker
from app.modalities.text.items import FillMaskItem, RankedToken
from app.modalities.text.new_tokenizers.letters import overlapping_length
from app.types import TruncationSide

_AT_ONCE = 64  # masks that a row predicts; those beyond it are predicted by further rows of the same text


@dataclass(frozen=True)
class _MaskedIds:
    """A text with its masks. ids: that the model reads. shift: from the place of a token to its position in them."""

    content: Content
    groups: list[MaskGroup]
    ids: list[int]
    shift: int

    @property
    def places(self) -> list[int]:
        """The tokens that are predicted, group by group."""
        return [place for group in self.groups for place in group.places]


class MaskedTexts:
    """Answers the items of one model whose masks are given by meaning."""

    def __init__(self, encoder: TextEncoder, measuring: Measuring, rows: RowMaker, max_length: int) -> None:
        self._encoder, self._measuring, self._rows, self._max_length = encoder, measuring, rows, max_length
        self._mask_id = encoder.mask[1]
        # An unknown word is a word, though a tokenizer counts what stands for it among its special tokens.
        self._special = frozenset(encoder.tokenizer.all_special_ids) - {encoder.tokenizer.unk_token_id}
        vocabulary = encoder.tokenizer.get_vocab()
        self._overlap = overlapping_length(vocabulary, vocabulary) or 1

    def steps(self, item: FillMaskItem, choice: MaskChoice) -> FillSteps:
        """Starts an item. Raises InvalidValue, EmptyInput and InputTooLong."""
        self._check(item, choice)
        return self._steps(item, self._read(item, choice), self._measuring.find_allowed(item))

    def _steps(self, item: FillMaskItem, text: _MaskedIds, allowed: Tensor | None) -> FillSteps:
        raws = yield list(self._make_rows(item, text, allowed))
        tokens = chain.from_iterable(self._name_tokens(item, text, raws))
        groups = [self._name_group(item.text, group, [next(tokens) for _ in group.places]) for group in text.groups]
        return MaskedResult([], tokens=len(text.ids), masked=groups)

    def _check(self, item: FillMaskItem, choice: MaskChoice) -> None:
        if not item.text.strip():
            raise EmptyInput("the input is empty", param="input")
        if item.has_spans or next(self._encoder.mask_spans(item.text), None) is not None:
            raise InvalidValue("the input holds a mask; give a text without masks, or leave out `mask`", param="mask")
        if choice.spans is not None:
            check_spans(choice.spans, item.text)

    def _read(self, item: FillMaskItem, choice: MaskChoice) -> _MaskedIds:
        # Words are counted from the beginning, which must not be cut off before they are.
        side = TruncationSide.RIGHT if choice.words is not None else item.truncation_side
        keep = (min(start for start, _ in choice.spans), max(end for _, end in choice.spans)) if choice.spans else None
        text, start = self._encoder.shorten(item.text, self._max_length, truncate=item.truncate, side=side, keep=keep)
        content = self._encoder.content(text, start)
        if max(content.ids, default=0) >= self._rows.vocabulary:  # a tokenizer may know more than its model
            raise InvalidValue(
                f"the input has a token id outside the model's vocabulary of {self._rows.vocabulary}", param="input"
            )
        places = [place for place, token in enumerate(content.ids) if token not in self._special]
        if not places:
            raise InvalidValue("the input holds no token that can be masked, only special ones", param="input")
        if choice.spans is not None:
            groups = find_spans(choice.spans, item.text, content, places)
        elif choice.words is not None:
            groups = find_words(choice.words, item.text, content, places)
        else:
            return self._draw(item, choice, content, places)
        hidden = self._hidden(groups)
        ids, shift = self._fit(item, content, hidden)
        return _MaskedIds(content, groups, self._masked(ids, [place + shift for place in hidden]), shift)

    def _draw(self, item: FillMaskItem, choice: MaskChoice, content: Content, places: list[int]) -> _MaskedIds:
        """Draws tokens among those that the model reads."""
        ids, shift = self._fit(item, content, [])
        read = range(len(self._encoder.prefix), len(ids) - len(self._encoder.suffix))
        groups = draw_groups(choice, item.text, content, [p for p in places if p + shift in read], self._overlap)
        return _MaskedIds(content, groups, self._masked(ids, [p + shift for p in self._hidden(groups)]), shift)

    def _fit(self, item: FillMaskItem, content: Content, keep: Sequence[int]) -> tuple[list[int], int]:
        return self._encoder.fit(
            content.ids, self._max_length, truncate=item.truncate, side=item.truncation_side, keep=keep
        )

    def _hidden(self, groups: Sequence[MaskGroup]) -> list[int]:
        """Returns all tokens that are masked, ascending: of overlapping k-mers also those with a letter of a token."""
        places = {place for group in groups for place in group.places}
        return sorted({max(place - back, 0) for place in places for back in range(self._overlap)})

    def _masked(self, ids: list[int], positions: Sequence[int]) -> list[int]:
        masked = list(ids)
        for position in positions:
            if position >= len(self._encoder.prefix):  # else it was cut off
                masked[position] = self._mask_id
        return masked

    def _make_rows(
        self, item: FillMaskItem, text: _MaskedIds, allowed: Tensor | None
    ) -> Iterator[BatchRow[FillMaskInputs]]:
        places = text.places
        for first in range(0, len(places), _AT_ONCE):
            part = places[first : first + _AT_ONCE]
            truths = tuple(text.content.ids[place] for place in part)
            options = MaskOptions(item.distribution, allowed, first, truths)
            positions = [place + text.shift for place in part]
            yield self._rows.best(text.ids, positions, item.top_k, options=options)

    def _name_tokens(self, item: FillMaskItem, text: _MaskedIds, raws: Sequence[Raw]) -> Iterator[list[MaskedToken]]:
        places = iter(text.places)
        for raw in raws:
            if not isinstance(raw, MeasuredRaw) or raw.measures.log_probs is None or raw.measures.ranks is None:
                raise RuntimeError("a row of masked tokens was not measured")
            if not np.isfinite(raw.measures.log_probs).all():
                raise AppError("the model computed numbers that are not finite for this input")
            each = zip(raw.measures.log_probs.tolist(), raw.measures.ranks.tolist(), strict=True)
            measured = split_measures(raw.measures)
            tokens = []
            for row, (log_prob, rank) in enumerate(each):
                place, share = next(places), measured[row].share if item.renormalize else 1.0
                best = zip(raw[0][row].tolist(), raw[1][row].tolist(), strict=True)
                tokens.append(
                    MaskedToken(
                        place + text.shift,
                        text.content.ids[place],
                        self._decoded(text.content.ids[place]),
                        *text.content.offsets[place],
                        text.content.words[place],
                        log_prob,
                        rank,
                        [RankedToken(math.exp(p) / share, token, self._decoded(token)) for p, token in best],
                        measured[row].entropy,
                        self._measuring.name_samples(measured[row], share),
                    )
                )
            yield tokens

    def _name_group(self, text: str, group: MaskGroup, tokens: list[MaskedToken]) -> MaskedGroup:
        best = [token.candidates[0].token for token in tokens]
        prediction = str(self._encoder.tokenizer.decode(best)).strip()
        return MaskedGroup(group.start, group.end, text[group.start : group.end], group.word, prediction, tokens)

    def _decoded(self, token: int) -> str:
        return self._measuring.wordpieces.decoded(token)
