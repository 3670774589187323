"""Windows of texts that are longer than a model reads. Pure functions of numbers."""

from app.types import TruncationSide

Span = tuple[int, int]  # [start, end)


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
