"""Interfaces of a run: the datasets that it reads, and the hooks through which it reports."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from app.modalities.served_model import ServedModel


class Dataset(Protocol):
    """Samples that can be read in any order."""

    tokens: int  # of all samples, without padding

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Any: ...


class Probe(Protocol):
    """A score of the model on labelled items, which is measured at each evaluation of a run. Higher is better."""

    def start(self, model: "ServedModel") -> str:
        """Reads the items with the model. Returns the score's description, in words.

        Raises InvalidData and TaskNotSupported.
        """
        ...

    def measure(self) -> float | None:
        """Returns the score of the model's current weights. None if it is not defined."""
        ...


class Stopped(Exception):
    """The run was told to stop before its first step. `reason` is what `should_stop` returned."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Killed(RuntimeError):
    """One of the run's processes ended by SIGKILL: from the kernel when memory ran out, or from a person."""


class Hooks(Protocol):
    """The interface between a run and its caller. All methods are called from the training thread."""

    def on_event(
        self,
        message: str,
        data: dict[str, Any] | None = None,
        *,
        level: Literal["info", "warn", "error"] = "info",
        kind: Literal["message", "metrics"] = "message",
    ) -> None:
        """Reports an event of the run. `message` is for people, and `data` has the same facts for programs."""
        ...

    def on_progress(self, progress: "Snapshot") -> None:
        """Reports the progress after each step."""
        ...

    def on_checkpoint(self, step: int, folder: Path, metrics: dict[str, float]) -> None:
        """Reports a complete checkpoint. `metrics` are those of an evaluation at its step, if there was one."""
        ...

    def on_artifact(self, step: int, ending: str, content: bytes) -> None:
        """Stores a file that shows the model's predictions. `ending` is that of its name, such as `png`."""
        ...

    def on_chosen(self, chosen: Mapping[str, Any], message: str) -> None:
        """Reports what the run trains with, once every default is resolved. An attempt that resumes repeats it."""
        ...

    def on_verdict(self, verdict: Mapping[str, Any]) -> None:
        """Reports the fields of the `RunVerdict` on a run that has reached its end."""
        ...

    def should_stop(self) -> str | None:
        """Returns why the run should stop after this step, or None if it should go on."""
        ...

    def can_save(self) -> bool:
        """Returns whether a checkpoint can be written now. If not, the run asks again after each step."""
        ...

    def fence(self) -> None:
        """Raises if this process may no longer write checkpoints."""
        ...


@dataclass(frozen=True)
class Snapshot:
    """The progress of a run. `total_steps` is an estimate if minutes end the run."""

    step: int
    total_steps: int | None
    tokens: int
    epoch: float
    fraction: float  # of the run, in [0, 1]
    tokens_per_second: float
    eta_seconds: float | None
