"""Inputs of requests → token ids that fit the model, whole or in windows."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.errors import EmptyInput, InputTooLong, InvalidModel, InvalidValue
from app.modalities.classification import ClassifyItem, TextPair
from app.modalities.patch.decoded_media import DecodedMedia
from app.modalities.text.classifiers.template import Template, TypedIds, find_template, share_room
from app.modalities.text.encoding import Content, TextEncoder
from app.modalities.text.windows import check_stride
from app.types import TruncationSide


@dataclass(frozen=True)
class Window:
    """A part of a text as the model reads it.

    offset: of the first token that is not special. content: of the part, without special tokens.
    """

    row: TypedIds
    offset: int
    content: Content


class ClassifierReader:
    """Reads inputs for a model of `max_length` tokens with a table of `vocabulary` entries.

    template, pair_template: the special tokens of a text, and of two.
    Raises InvalidModel for a tokenizer whose special tokens leave no room for others.
    """

    def __init__(self, encoder: TextEncoder, *, max_length: int, vocabulary: int) -> None:
        self.encoder = encoder
        self.max_length = max_length
        self._vocabulary = vocabulary
        backend = encoder.tokenizer.backend_tokenizer
        self.template = find_template(backend, encoder.example, pair=False)
        self.pair_template = find_template(backend, encoder.example, pair=True)
        if self.max_length <= self.pair_template.added:
            raise InvalidModel(f"the model reads {max_length} tokens, which the special tokens of a pair take")

    def read(self, item: ClassifyItem) -> TypedIds:
        """Returns the tokens of an input. Raises EmptyInput, InputTooLong and InvalidValue."""
        template = self.pair_template if isinstance(item.input, TextPair) else self.template
        texts = [content.ids for content in self._contents(item)]
        self._check_length(texts, template, item)
        kept = share_room(list(map(len, texts)), self.max_length - template.added)
        return template.fill([_cut(ids, length, item) for ids, length in zip(texts, kept, strict=True)])

    def read_windows(self, item: ClassifyItem, stride: int | None) -> list[Window]:
        """Returns the windows of a text, which have `stride` tokens in common; without a stride, one window.

        Raises what `read` raises.
        """
        if not isinstance(item.input, str):
            raise InvalidValue("this model labels the tokens of a text: give one text for each input", param="input")
        (content,) = self._contents(item, whole=stride is not None)
        room = self.max_length - self.template.added
        if stride is None:
            self._check_length([content.ids], self.template, item)
            length = min(len(content.ids), room)
            left = item.truncation_side is TruncationSide.LEFT
            return [self._window(content, len(content.ids) - length if left else 0, length)]
        check_stride(stride, room)
        starts = range(0, max(len(content.ids) - stride, 1), room - stride)
        return [self._window(content, start, room) for start in starts]

    def _window(self, content: Content, start: int, length: int) -> Window:
        part = slice(start, start + length)
        kept = Content(content.ids[part], content.words[part], content.offsets[part])
        return Window(self.template.fill([kept.ids]), len(self.template.fillers[0].ids), kept)

    def _contents(self, item: ClassifyItem, *, whole: bool = False) -> list[Content]:
        """Returns the tokens of each text of an input without the special ones, as they were given.

        whole: whether all of a text is read, however long it is.
        """
        given = item.input
        if isinstance(given, bytes | DecodedMedia):
            raise InvalidValue("this model classifies text, and the input is a file", param="input")
        if isinstance(given, tuple):
            ids = self.encoder.strip(given)
            if not ids:
                raise EmptyInput("the input holds no token ids", param="input")
            contents = [Content(ids, [], [])]
        else:
            texts = (given.text, given.text_pair) if isinstance(given, TextPair) else (given,)
            contents = [self.encoder.content(text) if whole else self._content(text, item) for text in texts]
        for content in contents:
            wrong = next((i for i in content.ids if not 0 <= i < self._vocabulary), None)
            if wrong is not None:
                raise InvalidValue(
                    f"token id {wrong} is outside this model's vocabulary of {self._vocabulary}", param="input"
                )
        return contents

    def _content(self, text: str, item: ClassifyItem) -> Content:
        text, start = self.encoder.shorten(text, self.max_length, truncate=item.truncate, side=item.truncation_side)
        return self.encoder.content(text, start)

    def _check_length(self, texts: Sequence[Sequence[int]], template: Template, item: ClassifyItem) -> None:
        total = sum(map(len, texts)) + template.added
        if total > self.max_length and not item.truncate:
            raise InputTooLong(
                f"the input has {total} tokens and the model reads at most {self.max_length}; shorten it or set"
                " truncate",
                param="input",
            )


def _cut(ids: Sequence[int], length: int, item: ClassifyItem) -> Sequence[int]:
    left = item.truncation_side is TruncationSide.LEFT
    return ids[len(ids) - length :] if left else ids[:length]
