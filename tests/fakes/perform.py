"""Performs a task as the engine does, without an engine."""

from collections.abc import Sequence
from typing import Any

from app.objectives.base import TaskHandler


def perform(handler: TaskHandler, items: Sequence[Any]) -> list[Any]:
    """All items in one batch: prepare → collate → run → finish."""
    prepared = [handler.prepare(item) for item in items]
    raw = handler.run(handler.collate(prepared))
    return [handler.finish(p, r) for p, r in zip(prepared, raw, strict=True)]
