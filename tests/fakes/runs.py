"""Hooks that record a run, and what to compare of its result."""

from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from app.training.job import TrainingResult

SMALL = {"sequence_length": 32, "batch_tokens": 128, "vocab_size": 300, "precision": "float32", "max_eval_samples": 8}


class Recorder:
    """Hooks that remember, and that stop or die where they are told to; `away`: steps at which nothing can be saved."""

    def __init__(self, stop_at: int | None = None, die_at: int | None = None, away: Container[int] = ()) -> None:
        self.events: list[tuple[str, dict[str, float]]] = []
        self.checkpoints: list[int] = []
        self.artifacts: dict[str, bytes] = {}
        self.fractions: list[float] = []
        self.chosen: dict[str, Any] = {}
        self.verdict: dict[str, Any] = {}
        self.stop_at, self.die_at, self.away, self.step = stop_at, die_at, away, 0

    def on_event(self, message: str, data: dict[str, float] | None = None, **_: Any) -> None:
        self.events.append((message, data or {}))

    def on_progress(self, progress: Any) -> None:
        self.step = progress.step
        self.fractions.append(progress.fraction)
        if self.step == self.die_at:
            raise KeyboardInterrupt  # as abrupt as a process can be within one

    def on_checkpoint(self, step: int, folder: Path, metrics: dict[str, float]) -> None:
        self.checkpoints.append(step)

    def on_artifact(self, step: int, ending: str, content: bytes) -> None:
        self.artifacts[f"{step}.{ending}"] = content

    def on_chosen(self, chosen: Mapping[str, Any], message: str) -> None:
        self.chosen = dict(chosen)

    def on_verdict(self, verdict: Mapping[str, Any]) -> None:
        self.verdict = dict(verdict)

    def should_stop(self) -> str | None:
        return "cancel" if self.stop_at is not None and self.step >= self.stop_at else None

    def can_save(self) -> bool:
        return self.step not in self.away

    def fence(self) -> None:
        pass

    def series(self, key: str) -> list[float]:
        return [data[key] for _, data in self.events if key in data]


def weights(result: TrainingResult) -> dict[str, np.ndarray]:
    return load_file(result.folder / "model.safetensors")


def same(a: TrainingResult, b: TrainingResult) -> bool:
    x, y = weights(a), weights(b)
    return x.keys() == y.keys() and all(np.array_equal(x[k], y[k]) for k in x)
