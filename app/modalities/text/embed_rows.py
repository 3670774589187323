"""Texts → rows of token ids that are embedded, with the characters that the tokens stand for."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from app.errors import EmptyInput, InputTooLong, InvalidValue
from app.modalities.embedding import EmbedItem, TextPart
from app.modalities.patch.decoded_media import DecodedMedia
from app.modalities.text.encoding import Content, TextEncoder
from app.modalities.text.pipeline import PoolingMode
from app.modalities.text.prompts import Prompt
from app.modalities.text.windows import MAX_WINDOWS

Segments = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class TokenSelection:
    """The tokens of a row with a vector. kept: their positions. attended: number of the first tokens that are seen."""

    kept: Sequence[int]
    attended: int


@dataclass(frozen=True)
class TextEmbedInputs:
    """One row.

    pooling: the modes; None for every token's vector. skipped: of the first tokens, which are not pooled.
    layer: number of the hidden states; None for the last. segments: positions [start, end) whose sums are wanted
    instead of single tokens, where `pooling` is None. sparse: a sparse vector is wanted instead, of `terms` entries.
    selection: the vectors of these tokens are wanted instead, as a multi-vector model makes them.
    """

    ids: list[int]
    pooling: tuple[PoolingMode, ...] | None
    skipped: int = 0
    layer: int | None = None
    segments: Segments | None = None
    sparse: bool = False
    terms: int | None = None
    selection: TokenSelection | None = None

    @property
    def kind(self) -> Literal["dense", "sparse", "multi_vector"]:
        """Rows of one kind share a batch."""
        if self.selection is not None:
            return "multi_vector"
        return "sparse" if self.sparse else "dense"


@dataclass(frozen=True)
class RowOptions:
    """The options that all rows of an item share. limit: of tokens, instead of as many as the model embeds."""

    pooling: tuple[PoolingMode, ...] | None
    prompt: Prompt
    layer: int | None = None
    limit: int | None = None


class EmbedRows:
    """Makes the rows of an item.

    vocabulary: rows of the model's embedding table. max_length: tokens that the model embeds.
    """

    def __init__(self, encoder: TextEncoder, *, vocabulary: int, max_length: int) -> None:
        self.encoder, self.max_length = encoder, max_length
        self._vocabulary = vocabulary
        self._special = len(encoder.prefix) + len(encoder.suffix)

    def __deepcopy__(self, memo: object) -> "EmbedRows":
        return self  # replicas of a model share it

    def make_one(self, item: EmbedItem, options: RowOptions) -> TextEmbedInputs:
        """Returns the row of a text that fits, or is cut. Raises InputTooLong, EmptyInput and InvalidValue."""
        content, begin = self._read(item, options.prompt.text)
        ids, shift = self._fit(content, item, options.limit)
        cut = len(self.encoder.prefix) - shift  # tokens at the left, of the prompt first
        return TextEmbedInputs(ids, options.pooling, 0 if begin else self._skip(options, len(ids), cut), options.layer)

    def make_described(self, item: EmbedItem, options: RowOptions) -> tuple[TextEmbedInputs, list[TextPart], list[int]]:
        """Returns the row with its tokens, and the word of each: -1 for tokens that are of no word of the text.

        Raises what `make_one` raises.
        """
        prompt, prefix, suffix = options.prompt.text, self.encoder.prefix, self.encoder.suffix
        if isinstance(item.input, str):
            content, _ = self._read_content(item, prompt)
        else:
            ids, _ = self._read(item, "")
            content = Content(ids, [-1] * len(ids), [(0, 0)] * len(ids))
        ids, shift = self._fit(content.ids, item)
        tokens, words = [self._special_part(id_) for id_ in prefix], [-1] * len(prefix)
        start = len(prefix) - shift
        for place in range(start, start + len(ids) - self._special):
            token = self._locate(item, content, place, len(prompt))
            tokens.append(token)
            words.append(-1 if token.start is None else content.words[place])
        tokens += [self._special_part(id_) for id_ in suffix]
        return TextEmbedInputs(ids, options.pooling, layer=options.layer), tokens, [*words, *[-1] * len(suffix)]

    def _locate(self, item: EmbedItem, content: Content, place: int, shift: int) -> TextPart:
        """Returns a token of the content with its place in the text, which the prompt shifts."""
        start, end = content.offsets[place]
        id_ = content.ids[place]
        if not isinstance(item.input, str) or end <= shift:
            return TextPart(self.encoder.token_text(id_), None, None, id_)
        start = max(start - shift, 0)
        return TextPart(item.input[start : end - shift], start, end - shift, id_)

    def _special_part(self, id_: int) -> TextPart:
        return TextPart(self.encoder.token_text(id_), None, None, id_, special=True)

    def make_windows(self, item: EmbedItem, options: RowOptions) -> list[TextEmbedInputs]:
        """Returns the row of a text that fits, or a row for each window of a longer one, all of about one length.

        Each window begins with the prompt. Raises InputTooLong for more than MAX_WINDOWS, EmptyInput and InvalidValue.
        """
        self._check_size(item)
        content, _ = self._read(item, "", MAX_WINDOWS)
        room = self.room(options.prompt)
        if len(content) <= room:
            # A prompt and its text are tokenized together, as the model was trained.
            return [self.make_one(item, options) if options.prompt.text else self.wrap(content, options)]
        count = self.count_windows(len(content), room)
        bounds = [round(len(content) * nth / count) for nth in range(count + 1)]
        return [self.wrap(content[start:end], options) for start, end in pairwise(bounds)]

    def read_document(self, item: EmbedItem, prompt: Prompt) -> Content:
        """Returns the whole content of a text that may have MAX_WINDOWS windows, cut if the item says so.

        Raises InputTooLong, EmptyInput and InvalidValue.
        """
        if not isinstance(item.input, str):
            raise InvalidValue("only a text can be cut into chunks, not token ids or files", param="output")
        if item.max_tokens is not None:
            raise InvalidValue(
                "truncate_prompt_tokens cannot be combined with output chunks", param="truncate_prompt_tokens"
            )
        room = self.room(prompt)
        if not item.truncate:
            self._check_size(item)
        content, _ = self._read_content(item, "", MAX_WINDOWS)
        if item.truncate and len(content.ids) > room:
            return _cut_content(content, room, left=item.truncation_side == "left")
        self.count_windows(len(content.ids), room)
        return content

    def wrap(self, content: Sequence[int], options: RowOptions, segments: Segments | None = None) -> TextEmbedInputs:
        """Returns a row of content with the prompt and the special tokens. segments: positions in the content."""
        begin = self._prompt_ids(options.prompt)
        ids = [*self.encoder.prefix, *begin, *content, *self.encoder.suffix]
        shift = len(self.encoder.prefix) + len(begin)
        moved = None if segments is None else tuple((start + shift, end + shift) for start, end in segments)
        return TextEmbedInputs(ids, options.pooling, self._skip(options, len(ids)), options.layer, moved)

    def room(self, prompt: Prompt) -> int:
        """Returns the tokens of a text that fit into a row with the prompt. Raises InvalidValue where none does."""
        room = self.max_length - self._special - len(self._prompt_ids(prompt))
        if room < 1:
            raise InvalidValue("the prompt leaves no token of the model's input to the text", param="prompt")
        return room

    def count_windows(self, tokens: int, room: int) -> int:
        """Returns the windows that so many tokens take. Raises InputTooLong."""
        count = math.ceil(tokens / room)
        if count > MAX_WINDOWS:
            raise self._too_long(f"{tokens} tokens")
        return count

    def _prompt_ids(self, prompt: Prompt) -> list[int]:
        return self.encoder.content_ids(prompt.text) if prompt.text.strip() else []

    def _check_size(self, item: EmbedItem) -> None:
        """Raises InputTooLong for a text of more characters than MAX_WINDOWS windows can have."""
        most = self.encoder.max_characters(MAX_WINDOWS * self.max_length)
        if isinstance(item.input, str) and len(item.input) > most:
            raise self._too_long(f"{len(item.input)} characters")

    def _too_long(self, size: str) -> InputTooLong:
        return InputTooLong(
            f"the input has {size}, more than {MAX_WINDOWS} windows of the {self.max_length} tokens that the model"
            " reads; shorten it or set truncate",
            param="input",
        )

    def _skip(self, options: RowOptions, count: int, cut: int = 0) -> int:
        """Returns how many of the first tokens of a row are not pooled. count: of its tokens."""
        if not options.prompt.length:
            return 0
        return min(max(options.prompt.length - cut, len(self.encoder.prefix)), count - 1)

    def _fit(self, content: list[int], item: EmbedItem, limit: int | None = None) -> tuple[list[int], int]:
        limit = limit or self.max_length
        if item.max_tokens is None:
            return self.encoder.fit(content, limit, truncate=item.truncate, side=item.truncation_side)
        if item.max_tokens <= self._special:
            raise InvalidValue(
                f"truncate_prompt_tokens is {item.max_tokens}, and {self._special} special tokens go around a text",
                param="truncate_prompt_tokens",
            )
        return self.encoder.fit(content, min(item.max_tokens, limit), truncate=True, side=item.truncation_side)

    def _read(self, item: EmbedItem, prompt: str, windows: int = 1) -> tuple[list[int], int]:
        """Token ids without special ones, and which character of the text they begin at."""
        given, begin = item.input, 0
        if isinstance(given, str):
            text, begin = self._shorten(given, item, prompt, windows)
            content = self.encoder.content_ids(text)
        elif isinstance(given, bytes | DecodedMedia):
            raise InvalidValue("this model embeds text, and the input is a file", param="input")
        else:
            content = self.encoder.strip(given)
        if not content and not isinstance(given, str):
            raise EmptyInput("the input holds no token ids", param="input")
        self._check_ids(content)
        return content, begin

    def _read_content(self, item: EmbedItem, prompt: str, windows: int = 1) -> tuple[Content, int]:
        """As `_read`, of a text, with the word and the characters of each token."""
        text, begin = self._shorten(str(item.input), item, prompt, windows)
        content = self.encoder.content(text, begin)
        self._check_ids(content.ids)
        return content, begin

    def _shorten(self, given: str, item: EmbedItem, prompt: str, windows: int) -> tuple[str, int]:
        if not given.strip():
            raise EmptyInput("the input is empty", param="input")
        truncate = item.truncate or item.max_tokens is not None
        return self.encoder.shorten(
            prompt + given, windows * self.max_length, truncate=truncate, side=item.truncation_side
        )

    def _check_ids(self, content: Sequence[int]) -> None:
        wrong = next((i for i in content if not 0 <= i < self._vocabulary), None)
        if wrong is not None:
            raise InvalidValue(
                f"token id {wrong} is outside this model's vocabulary of {self._vocabulary}", param="input"
            )


def _cut_content(content: Content, room: int, *, left: bool) -> Content:
    kept = slice(len(content.ids) - room, None) if left else slice(room)
    return Content(content.ids[kept], content.words[kept], content.offsets[kept])
