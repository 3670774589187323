"""One task of one loaded model, and the interface of what runs its batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import torch

from app.devices import Forwards
from app.modalities.base import AnyHandler
from app.serving.batcher import Batcher
from app.serving.model_usage import ModelUsage
from app.types import Task


@dataclass(frozen=True, eq=False)
class ServedTask:
    """One task of one loaded model. Equal only to itself: a model loaded anew has served tasks of its own.

    handlers: the same on replicas of the model, one for each thread that runs it, by the device that it is on.
    rows_of: the served task whose batches this one's rows are in; None: batches of its own.
    usage: of the model.
    """

    model: str
    task: Task
    handlers: "Mapping[BatchRunner, Sequence[AnyHandler]]"
    rows_of: "ServedTask | None" = None
    usage: ModelUsage = field(default_factory=ModelUsage)

    @cached_property
    def handler(self) -> AnyHandler:
        """The handler of the first thread, which serves all threads for everything but `run`."""
        return next(iter(self.handlers.values()))[0]

    @cached_property
    def forwards(self) -> int:
        """The number of its batches that may run at once, on all devices."""
        return sum(map(len, self.handlers.values()))

    def only_on(self, runner: "BatchRunner") -> "ServedTask":
        """Returns a served task whose batches run on that device. They are batches of its own."""
        rows_of = None if self.rows_of is None else self.rows_of.only_on(runner)
        return replace(self, handlers={runner: self.handlers[runner]}, rows_of=rows_of)

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
    def name(self) -> str:
        """The device's name in settings, metrics and logs. Two runners may share a processor, but no name."""
        ...

    @property
    def forwards(self) -> Forwards:
        """The number of batches that run at once. Each needs a replica of the model."""
        ...

    @property
    def batcher(self) -> Batcher[ServedTask]:
        """The queue, which several runners may share."""
        ...

    @property
    def alive(self) -> bool:
        """Whether the device answers; False before `start` and while a part is being restarted."""
        ...

    def start(self) -> None: ...

    def stop(self) -> None:
        """Finishes what has been taken from the queue; the rest gets NotReady."""
        ...
