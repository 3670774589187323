"""Interfaces of a run: the datasets that it reads, and the hooks by which it reports."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol


class Dataset(Protocol):
    tokens: int  # of all samples, without padding

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Any: ...


class Stopped(Exception):
    """Raised where a run is told to stop before its first step; `reason` is what `should_stop` said."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Killed(RuntimeError):
    """One of a run's processes was killed: by the kernel when memory ran out, or by somebody's hand."""


class Hooks(Protocol):
    """How a run speaks to whoever started it. All are called from the training thread."""

    def on_event(
        self,
        message: str,
        data: dict[str, Any] | None = None,
        *,
        level: Literal["info", "warn", "error"] = "info",
        kind: Literal["message", "metrics"] = "message",
    ) -> None: ...

    def on_progress(self, progress: "Snapshot") -> None: ...

    def on_checkpoint(self, step: int, folder: Path, metrics: dict[str, float]) -> None: ...

    def on_artifact(self, step: int, ending: str, content: bytes) -> None:
        """A file that shows how the model does at this step; `ending` is that of its name."""
        ...

    def should_stop(self) -> str | None:
        """Why the run is to stop after this step, if it is."""
        ...

    def can_save(self) -> bool:
        """Whether a checkpoint that is due can be written now; else it is written as soon as it can."""
        ...

    def fence(self) -> None:
        """Raises if this process may no longer write checkpoints."""
        ...


@dataclass(frozen=True)
class Snapshot:
    """How far a run is; `total_steps` is an estimate where tokens or minutes end it."""

    step: int
    total_steps: int | None
    tokens: int
    epoch: float
    fraction: float  # of the run, in [0, 1]
    tokens_per_second: float
    eta_seconds: float | None
