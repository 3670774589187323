"""Texts to score → token ids that fit the model, whole or in windows."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.errors import InvalidValue
from app.modalities.text.candidates.groups import draw_places
from app.modalities.text.encoding import Content, TextEncoder
from app.modalities.text.items import MAX_ROWS, ScoreItem
from app.modalities.text.windows import MAX_WINDOWS, TextWindow, plan_windows


@dataclass(frozen=True)
class ScoredPart:
    """A part of a text that the model reads at once.

    ids: that it reads. shift: from the place of a token in the text to its position in them. places: of the tokens that
    are scored in this part, ascending.
    """

    ids: list[int]
    shift: int
    places: list[int]


class ScoreReader:
    """Reads texts for a model of `max_length` tokens with a table of `vocabulary` entries.

    overlap: number of tokens that contain a letter of the text.
    """

    def __init__(self, encoder: TextEncoder, *, max_length: int, vocabulary: int, overlap: int) -> None:
        self._encoder = encoder
        self._max_length, self._vocabulary, self._overlap = max_length, vocabulary, overlap
        # An unknown word is a word, though a tokenizer counts what stands for it among its special tokens.
        self._special = frozenset(encoder.tokenizer.all_special_ids) - {encoder.tokenizer.unk_token_id}

    def read(self, item: ScoreItem) -> tuple[Content, list[ScoredPart]]:
        """Returns the tokens of a text, and the parts in which they are scored.

        Raises EmptyInput, InputTooLong, and InvalidValue for a text without a token to score.
        """
        text, start = item.text, 0
        if item.windows:
            self._encoder.check_characters(text, self._max_length, MAX_WINDOWS, f"a text in {MAX_WINDOWS} windows")
        else:
            text, start = self._encoder.shorten(
                text, self._max_length, truncate=item.truncate, side=item.truncation_side
            )
        content = self._encoder.content(text, start)
        if max(content.ids, default=0) >= self._vocabulary:  # a tokenizer may know more than its model
            raise InvalidValue(
                f"the input has a token id outside the model's vocabulary of {self._vocabulary}", param="input"
            )
        return content, self._cut(item, content.ids) if item.windows else [self._fit(item, content.ids)]

    def _fit(self, item: ScoreItem, content: list[int]) -> ScoredPart:
        ids, shift = self._encoder.fit(content, self._max_length, truncate=item.truncate, side=item.truncation_side)
        end = len(ids) - len(self._encoder.suffix)
        read = range(len(self._encoder.prefix) - shift, end - shift)  # of the content, what was not cut off
        return ScoredPart(ids, shift, self._choose(item, content, read))

    def _cut(self, item: ScoreItem, content: list[int]) -> list[ScoredPart]:
        places = self._choose(item, content, range(len(content)))
        check_window_rows(len(places), item.max_rows)
        return cut_windows(content, places, self._encoder, self._max_length, item.stride)

    def _choose(self, item: ScoreItem, content: list[int], read: range) -> list[int]:
        """Returns the tokens that are scored among those that the model reads."""
        places = [place for place in read if content[place] not in self._special]
        if not places:
            raise InvalidValue("the input holds no token to score, only special ones", param="input")
        if item.drawn is None:
            return places
        return draw_places(places, item.drawn.share, item.drawn.seed, self._overlap)


def check_window_rows(rows: int, most: int) -> None:
    """Raises InvalidValue for more rows than a text in windows may take."""
    if rows > most:
        raise InvalidValue(
            f"`overflow` takes {rows} rows of a batch for an input, where {most} are allowed, and {MAX_ROWS} for all"
            " inputs of a request; send fewer or shorter inputs",
            param="overflow",
        )


def cut_windows(
    content: Sequence[int], places: Sequence[int], encoder: TextEncoder, max_length: int, stride: int | None
) -> list[ScoredPart]:
    """Returns the windows of a text's tokens in which `places` (ascending) are scored. Raises as `plan_windows`."""
    room = max_length - len(encoder.prefix) - len(encoder.suffix)
    return [_wrap(content, window, encoder) for window in plan_windows(len(content), places, room, stride)]


def _wrap(content: Sequence[int], window: TextWindow, encoder: TextEncoder) -> ScoredPart:
    start, end = window.span
    ids = [*encoder.prefix, *content[start:end], *encoder.suffix]
    return ScoredPart(ids, len(encoder.prefix) - start, window.places)
