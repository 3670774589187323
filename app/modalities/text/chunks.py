"""Chunks of a text, and the windows in which a long text is read for late chunking. Pure functions of numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_SHARED = 4  # a window shares a quarter of its tokens with the next one

Span = tuple[int, int]  # [start, end) among the tokens of a text


@dataclass(frozen=True)
class LateWindow:
    """A part of a text that is read at once.

    span: its tokens. owned: those whose vectors are taken from it, since they have more context here than in the
    neighbouring windows.
    """

    span: Span
    owned: Span


def cut_chunks(words: Sequence[int], size: int, overlap: int) -> list[Span]:
    """Cuts a text into chunks of at most `size` tokens that begin and end at words, where words are short enough.

    words: the word of each token. overlap: tokens that a chunk shares with the next one, at most; less than `size`.
    Each chunk begins at least half of `size - overlap` behind the one before.
    """
    chunks, start, total = [], 0, len(words)
    while start < total:
        end = min(start + size, total)
        if end < total:
            end = _word_start(words, end, back=True, limit=end - (size - overlap) // 2)
        chunks.append((start, end))
        if end == total:
            break
        start = _word_start(words, end - overlap, back=False, limit=end)
    return chunks


def _word_start(words: Sequence[int], place: int, *, back: bool, limit: int) -> int:
    """Returns the place nearest to `place`, in one direction up to `limit`, where a word begins; else `place`."""
    places = range(place, limit - 1, -1) if back else range(place, limit + 1)
    return next((each for each in places if 0 < each < len(words) and words[each] != words[each - 1]), place)


def lay_windows(tokens: int, room: int) -> list[LateWindow]:
    """Returns windows of at most `room` tokens over a text; each token is owned by one of them."""
    if tokens <= room:
        return [LateWindow((0, tokens), (0, tokens))]
    shared = room // _SHARED
    count = -(-(tokens - shared) // (room - shared))
    starts = [round((tokens - room) * nth / (count - 1)) for nth in range(count)]
    middles = [(left + room + right) // 2 for left, right in pairwise(starts)]
    bounds = pairwise([0, *middles, tokens])
    return [LateWindow((start, start + room), owned) for start, owned in zip(starts, bounds, strict=True)]
