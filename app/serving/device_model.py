"""A model in the memory of one device."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import torch

from app.modalities.base import AnyHandler
from app.modalities.served_model import ServedModel
from app.serving.packing import pack
from app.serving.replicas import replicate
from app.serving.served_task import BatchRunner
from app.types import Task


@dataclass(frozen=True, eq=False)
class DeviceModel:
    """A model in the memory of one device.

    replicas: of the model's handlers, for each forward that the runner runs beside the first.
    """

    runner: BatchRunner
    model: ServedModel
    replicas: Sequence[Mapping[Task, AnyHandler]] = ()

    def handlers(self, task: Task) -> Sequence[AnyHandler]:
        """Returns the handlers of a task, one for each thread."""
        return self.model.tasks[task], *(replica[task] for replica in self.replicas)


def place(model: ServedModel, runner: BatchRunner, dtype: torch.dtype) -> DeviceModel:
    """Moves a model to a runner's device and makes it ready to serve there."""
    model.to(runner.device, dtype)
    pack(model.model)
    return DeviceModel(runner, model, [replicate(model) for _ in range(runner.forwards.at_once - 1)])


def weight_bytes(model: ServedModel) -> int:
    """Returns the bytes of the model's weights; activations are not counted."""
    return sum(tensor.nbytes for tensor in chain(model.model.parameters(), model.model.buffers()))
