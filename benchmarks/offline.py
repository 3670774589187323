"""Tasks of a loaded model without a server: what the quality benchmarks share."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from app.modalities.registry import load
from app.modalities.served_model import AnyMaskedModel
from app.store.store import ModelStore
from app.types import Task


def load_model(model: str, store: Path) -> AnyMaskedModel:
    """model: an id of the store, or a folder."""
    return load(Path(model) if Path(model).is_dir() else ModelStore(store).resolve(model).path)


def perform(objective: AnyMaskedModel, task: Task, items: Sequence[Any], batch: int = 64) -> Iterator[Any]:
    """One result an item, in order; `batch` items share a forward."""
    handler: Any = objective.tasks[task]
    for start in range(0, len(items), batch):
        prepared = [handler.prepare(item) for item in items[start : start + batch]]
        raw = handler.run(handler.collate([p.inputs for p in prepared]))
        yield from (handler.finish(p, r) for p, r in zip(prepared, raw, strict=True))
