"""One task of one loaded model, and the interface of what runs its batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from app.devices import Forwards
from app.modalities.base import AnyHandler
from app.serving.batcher import Batcher
from app.types import Task


@dataclass(frozen=True, eq=False)
class ServedTask:
    """One task of one loaded model. Equal only to itself: a model loaded anew has served tasks of its own.

    handlers: the same on replicas of the model, one for each thread that runs it.
    rows_of: the served task whose batches this one's rows are in; None: batches of its own.
    """

    model: str
    task: Task
    handlers: Sequence[AnyHandler]
    rows_of: "ServedTask | None" = None

    @property
    def handler(self) -> AnyHandler:
        """The handler of the first thread, which serves all threads for everything but `run`."""
        return self.handlers[0]

    @property
    def key(self) -> "ServedTask":
        """The served task that runs the rows. Rows of one key share batches."""
        return self.rows_of or self


class BatchRunner(Protocol):
    """Takes batches from a queue, runs them on a device and sets the results of their entries.

    `app.serving.runner.Runner` does it with threads of this process. Engines and the pool know only this interface.
    """

    @property
    def device(self) -> torch.device: ...

    @property
    def forwards(self) -> Forwards:
        """The number of batches that run at once. Each needs a replica of the model."""
        ...

    @property
    def batcher(self) -> Batcher[ServedTask]: ...

    @property
    def alive(self) -> bool:
        """Whether the device answers; False before `start` and while a part is being restarted."""
        ...

    def start(self) -> None: ...

    def stop(self) -> None:
        """Finishes what has been taken from the queue; the rest gets NotReady."""
        ...
