"""The interface of observers of the engine; the API implements it with Prometheus metrics."""

from typing import Protocol

from app.types import Task


class EngineObserver(Protocol):
    """Called from the engine's threads, so implementations are thread-safe and quick."""

    def on_batch(self, model: str, task: Task, device: str, *, size: int, tokens: int, seconds: float) -> None:
        """A batch of `size` inputs with `tokens` tokens, padding not counted, ran for `seconds` on a device."""
        ...

    def on_load(self, model: str, seconds: float) -> None:
        """A model was loaded and warmed up."""
        ...
