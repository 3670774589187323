"""Performs a task as the engine does, without an engine."""

from collections.abc import Sequence
from itertools import repeat
from typing import Any

from app.modalities.base import Prepared, Rounds, TaskHandler


def perform(handler: TaskHandler, items: Sequence[Any]) -> list[Any]:
    """All items in one batch: prepare → collate → run → finish; or, of rounds, all rows of a round in one."""
    prepared = [handler.prepare(item) for item in items]
    open_, sent, answers = dict(enumerate(map(in_rounds, repeat(handler), prepared))), {}, {}
    while open_:
        asked = {}
        for index, rounds in list(open_.items()):
            try:
                asked[index] = rounds.send(sent.get(index))
            except StopIteration as end:
                answers[index] = end.value
                del open_[index]
        if asked:
            raws = iter(handler.run(handler.collate([row for rows in asked.values() for row in rows])))
            sent = {index: [next(raws) for _ in rows] for index, rows in asked.items()}
    return [answers[index] for index in range(len(items))]


def in_rounds(handler: TaskHandler, prepared: Prepared | Rounds) -> Rounds:
    if not isinstance(prepared, Prepared):
        return (yield from prepared)
    (raw,) = yield [prepared]
    return handler.finish(prepared, raw)


def rows_of(handler: TaskHandler, item: Any) -> Sequence[Prepared]:
    """Of the item's first round."""
    return next(in_rounds(handler, handler.prepare(item)))
