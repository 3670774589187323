"""Windows of texts that are longer than a model reads. Pure functions of numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.errors import InputTooLong, InvalidValue
from app.types import TruncationSide

MAX_WINDOWS = 64  # of a text

Span = tuple[int, int]  # [start, end)


@dataclass(frozen=True)
class TextWindow:
    """A part of a text that is read at once.

    span: its tokens among those of the text. places: those of them that are predicted in this window, ascending.
    """

    span: Span
    places: list[int]


def place_window(length: int, room: int, side: TruncationSide | None, keep: Span | None = None) -> int:
    """Returns where the one window of `room` begins that is kept of a longer text.

    side: where the text is cut; None: at both ends, around `keep`. keep: what must survive; it fits into the window.
    Where cutting at `side` would lose any of it, the window is centred on it, with context on both sides.
    """
    start = length - room if side is TruncationSide.LEFT else 0
    if keep is None or (side is not None and start <= keep[0] and keep[1] <= start + room):
        return start
    span = keep[1] - keep[0]
    return min(max(keep[0] - (room - span) // 2, 0), length - room)


def check_stride(stride: int, room: int) -> None:
    """Raises InvalidValue for windows of `room` tokens that cannot have `stride` tokens in common."""
    if stride > room // 2:
        raise InvalidValue(
            f"`stride` is {stride}; this model's windows of {room} tokens have at most {room // 2} in common",
            param="stride",
        )


def plan_windows(length: int, places: Sequence[int], room: int, stride: int | None) -> list[TextWindow]:
    """Returns the windows of `length` tokens in which `places` (ascending) are predicted, in the order of the text.

    Each place is in the window in which the shorter one of its two sides is longest. A side that reaches an end of
    the text lacks nothing, so it does not count. Windows without a place are left out.

    room: tokens of a window. stride: tokens that neighbours have in common; None for half of them.
    Raises InvalidValue for a stride of more than half of a window, and InputTooLong for more than MAX_WINDOWS windows
    or windows without room.
    """
    if room < 1:
        raise InputTooLong("the model reads too few tokens for what is asked for at a mask", param="input")
    stride = room // 2 if stride is None else stride
    check_stride(stride, room)
    last = max(length - room, 0)
    starts = np.unique(np.minimum(np.arange(0, last + room - stride, room - stride), last))
    stops = np.minimum(starts + room, length)
    found: dict[int, list[int]] = {}
    for place in places:
        left = np.where(starts == 0, length, place - starts)
        right = np.where(stops == length, length, stops - 1 - place)
        context = np.where((starts <= place) & (place < stops), np.minimum(left, right), -1)
        found.setdefault(int(context.argmax()), []).append(place)
    if len(found) > MAX_WINDOWS:
        raise InputTooLong(
            f"the input takes {len(found)} windows of {room} tokens, and at most {MAX_WINDOWS} are computed; shorten it"
            " or lower `stride`",
            param="input",
        )
    return [TextWindow((int(starts[each]), int(stops[each])), found[each]) for each in sorted(found)]
