"""Texts with masks → token ids that fit the model."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from itertools import islice

from app.errors import EmptyInput, InputTooLong, InvalidValue, NoMask, TooManyMasks
from app.modalities.text.encoding import TextEncoder
from app.modalities.text.filling.texts import MaskedText
from app.modalities.text.items import MASK_ALIAS, FillMaskItem


@dataclass(frozen=True)
class ReadText:
    """ids: that the model reads. masks: positions in them."""

    ids: list[int]
    masks: list[int]
    text: MaskedText


class TextReader:
    """Reads the texts of items. max_length: tokens that the model reads. vocabulary: rows of its table of tokens."""

    def __init__(self, encoder: TextEncoder, *, max_length: int, vocabulary: int) -> None:
        self._encoder = encoder
        self._mask_token, self._mask_id = encoder.mask
        self._max_length, self._vocabulary = max_length, vocabulary

    def check_characters(self, text: str) -> None:
        """Raises InputTooLong for a text that is not searched for spans, because the search would take too long."""
        bound = self._encoder.max_characters(self._max_length)
        if len(text) > bound:
            raise InputTooLong(
                f"the input has {len(text)} characters, and a text with spans may have {bound}", param="input"
            )

    def check_ids(self, ids: Iterable[int], what: str, param: str) -> None:
        """Raises InvalidValue for a token that the model does not know: a tokenizer may know more than its model."""
        if max(ids, default=0) >= self._vocabulary:
            raise InvalidValue(f"{what} a token id outside the model's vocabulary of {self._vocabulary}", param=param)

    def read(self, item: FillMaskItem, extra: int = 0) -> ReadText:
        """Reads an item's text. extra: tokens that are left free for masks that are repeated."""
        shortened, spans = self._shortened(item)
        content = self._encoder.content_ids(self._encoder.mask_pattern.sub(lambda _: self._mask_token, shortened))
        masks = self._masks(content, len(spans))
        self.check_ids(content, "the input has", "input")
        limit = self._max_length - extra
        ids, shift = self._encoder.fit(content, limit, truncate=item.truncate, side=item.truncation_side, keep=masks)
        return ReadText(ids, [m + shift for m in masks], MaskedText(item.text, spans, self._mask_token))

    def _shortened(self, item: FillMaskItem) -> tuple[str, list[tuple[int, int]]]:
        """Returns the part of the item's text that is tokenized, and the spans of its masks in the whole text."""
        if not item.text.strip():
            raise EmptyInput("the input is empty", param="input")
        cut = partial(
            self._encoder.shorten, item.text, self._max_length, truncate=item.truncate, side=item.truncation_side
        )
        if not item.truncate:
            cut()  # refuses a text that is too long before it is searched for masks
        found = self._encoder.mask_spans(item.text)
        spans = list(islice(found, item.max_masks + 1))
        if not spans:
            own = "" if self._mask_token == MASK_ALIAS else f" or {self._mask_token}"
            raise NoMask(f"the input holds no mask: write {MASK_ALIAS}{own} where a word is missing", param="input")
        if len(spans) > item.max_masks:
            count = len(spans) + sum(1 for _ in found)
            raise TooManyMasks(f"the input holds {count} masks and at most {item.max_masks} are allowed", param="input")
        return cut(keep=(spans[0][0], spans[-1][1]))[0], spans

    def _masks(self, content: list[int], count: int) -> list[int]:
        """Indices of the `count` masks in `content`."""
        masks = [i for i, token in enumerate(content) if token == self._mask_id]
        if len(masks) != count:
            raise InvalidValue(
                f"the input holds {count} masks but the tokenizer sees {len(masks)}; put spaces around them",
                param="input",
            )
        return masks
