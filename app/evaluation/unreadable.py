"""Items that a model cannot read are found before anything is computed, so that one of them fails no evaluation."""

import pickle
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

from app.datasets.labelled import LabelledItem, LabelledItems
from app.errors import BadRequest, InvalidValue, TooLarge
from app.evaluation.embedding import make_item
from app.modalities.base import AnyHandler
from app.modalities.embedding import EmbedItem
from app.system.process_pool import ProcessPool

_AT_ONCE = 64  # files that are decoded before the next are begun
MISTAKES = (BadRequest, InvalidValue, TooLarge)  # of one item


def leave_out_unreadable(
    found: LabelledItems, handlers: Iterable[AnyHandler], processes: ProcessPool, on_done: Callable[[int], None]
) -> None:
    """Leaves out the items that one of the models cannot read, and names them in `found`.

    handlers: of the models. Two models that decode files in the same way decode them once.
    on_done: is told how many items are done; may raise to stop.
    """
    known = set[bytes]()
    for handler in handlers:
        if handler.reads_files:
            way = pickle.dumps(handler.decoding(make_item(b"")))
            if way in known:
                continue
            known.add(way)
        usable = list[LabelledItem]()
        for start in range(0, len(found.items), _AT_ONCE):
            on_done(start)
            piece = found.items[start : start + _AT_ONCE]
            for item, reason in zip(piece, _find_reasons(handler, piece, processes), strict=True):
                if reason is None:
                    usable.append(item)
                else:
                    found.skip(item.place, reason)
        found.items = usable


def find_readable(handler: AnyHandler, texts: Sequence[str], on_done: Callable[[int], None]) -> list[bool]:
    """Returns whether a model can read each text. on_done: is told how many are done; may raise to stop."""
    readable = list[bool]()
    for start in range(0, len(texts), _AT_ONCE):
        on_done(start)
        items = map(make_item, texts[start : start + _AT_ONCE])
        readable += [_find_reason(partial(_prepare, handler, item)) is None for item in items]
    return readable


def _find_reasons(handler: AnyHandler, piece: Sequence[LabelledItem], processes: ProcessPool) -> list[str | None]:
    """Returns why each item cannot be read; None for those that can."""
    items = [make_item(item.content) for item in piece]
    if not handler.reads_files:
        return [_find_reason(partial(_prepare, handler, item)) for item in items]
    futures: list[Future[None]] = [processes.submit(partial(_decode, handler.decoding(item))) for item in items]
    return [_find_reason(future.result) for future in futures]


def _find_reason(read: Callable[[], None]) -> str | None:
    try:
        read()
    except MISTAKES as error:
        return error.message
    return None


def _prepare(handler: AnyHandler, item: EmbedItem) -> None:
    next(handler.steps(item))


def _decode(decoding: Callable[[], Any]) -> None:
    """Decodes a file in a child process, which does not send the result back."""
    decoding()
