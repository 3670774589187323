"""Texts with masks → token ids that fit the model, whole or in windows."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from itertools import islice

from app.errors import EmptyInput, InvalidValue, NoMask, TooManyMasks
from app.modalities.text.encoding import TextEncoder
from app.modalities.text.filling.texts import MaskedText
from app.modalities.text.items import MASK_ALIAS, FillMaskItem
from app.modalities.text.windows import MAX_WINDOWS, TextWindow, plan_windows


@dataclass(frozen=True)
class ReadText:
    """A text with masks, or a window of one.

    ids: that the model reads. masks: positions in them of the masks that are predicted. text: the whole text.
    first: number of the first one of `masks` in the text. shift: from a position to that in all of the text's ids.
    """

    ids: list[int]
    masks: list[int]
    text: MaskedText
    first: int = 0
    shift: int = 0


class TextReader:
    """Reads the texts of items. max_length: tokens that the model reads. vocabulary: rows of its table of tokens."""

    def __init__(self, encoder: TextEncoder, *, max_length: int, vocabulary: int) -> None:
        self._encoder = encoder
        self._mask_token, self._mask_id = encoder.mask
        self._max_length, self._vocabulary = max_length, vocabulary

    def check_characters(self, text: str, what: str, windows: int = 1) -> None:
        """Raises InputTooLong for a text that takes too long to read. what: the kind of text, for the error."""
        self._encoder.check_characters(text, self._max_length, windows, what)

    def check_ids(self, ids: Iterable[int], what: str, param: str) -> None:
        """Raises InvalidValue for a token that the model does not know: a tokenizer may know more than its model."""
        if max(ids, default=0) >= self._vocabulary:
            raise InvalidValue(f"{what} a token id outside the model's vocabulary of {self._vocabulary}", param=param)

    def read(self, item: FillMaskItem, extra: int = 0) -> ReadText:
        """Reads an item's text. extra: tokens that are left free for masks that are repeated."""
        shortened, spans = self._shortened(item)
        content, masks = self._tokenize(shortened, len(spans))
        limit = self._max_length - extra
        ids, shift = self._encoder.fit(content, limit, truncate=item.truncate, side=item.truncation_side, keep=masks)
        return ReadText(ids, [m + shift for m in masks], MaskedText(item.text, spans, self._mask_token))

    def read_windows(self, item: FillMaskItem, extra: int = 0) -> list[ReadText]:
        """Reads an item's text, in windows if it has any. Each of its masks is in one of them. extra: as for `read`."""
        if not item.windows:
            return [self.read(item, extra)]
        self._check_empty(item)
        self.check_characters(item.text, f"a text in {MAX_WINDOWS} windows", MAX_WINDOWS)
        spans = self._find_masks(item)
        content, masks = self._tokenize(item.text, len(spans))
        room = self._max_length - extra - len(self._encoder.prefix) - len(self._encoder.suffix)
        text = MaskedText(item.text, spans, self._mask_token)
        first, texts = 0, []
        for window in plan_windows(len(content), masks, room, item.stride):
            texts.append(self._cut(content, window, text, first))
            first += len(window.places)
        return texts

    def _cut(self, content: list[int], window: TextWindow, text: MaskedText, first: int) -> ReadText:
        start, end = window.span
        ids = [*self._encoder.prefix, *content[start:end], *self._encoder.suffix]
        masks = [place - start + len(self._encoder.prefix) for place in window.places]
        return ReadText(ids, masks, text, first, start)

    def _shortened(self, item: FillMaskItem) -> tuple[str, list[tuple[int, int]]]:
        """Returns the part of the item's text that is tokenized, and the spans of its masks in the whole text."""
        cut = partial(
            self._encoder.shorten, item.text, self._max_length, truncate=item.truncate, side=item.truncation_side
        )
        self._check_empty(item)
        if not item.truncate:
            cut()  # refuses a text that is too long before it is searched for masks
        spans = self._find_masks(item)
        return cut(keep=(spans[0][0], spans[-1][1]))[0], spans

    def _check_empty(self, item: FillMaskItem) -> None:
        if not item.text.strip():
            raise EmptyInput("the input is empty", param="input")

    def _find_masks(self, item: FillMaskItem) -> list[tuple[int, int]]:
        """Returns the characters of each mask. Raises NoMask and TooManyMasks."""
        found = self._encoder.mask_spans(item.text)
        spans = list(islice(found, item.max_masks + 1))
        if not spans:
            own = "" if self._mask_token == MASK_ALIAS else f" or {self._mask_token}"
            raise NoMask(f"the input holds no mask: write {MASK_ALIAS}{own} where a word is missing", param="input")
        if len(spans) > item.max_masks:
            count = len(spans) + sum(1 for _ in found)
            raise TooManyMasks(f"the input holds {count} masks and at most {item.max_masks} are allowed", param="input")
        return spans

    def _tokenize(self, text: str, count: int) -> tuple[list[int], list[int]]:
        """Returns the tokens of a text without special ones, and the indices of its `count` masks in them."""
        content = self._encoder.content_ids(self._encoder.mask_pattern.sub(lambda _: self._mask_token, text))
        masks = [i for i, token in enumerate(content) if token == self._mask_id]
        if len(masks) != count:
            raise InvalidValue(
                f"the input holds {count} masks but the tokenizer sees {len(masks)}; put spaces around them",
                param="input",
            )
        self.check_ids(content, "the input has", "input")
        return content, masks
