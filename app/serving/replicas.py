"""One model run by several threads at once: the weights are shared, the modules are not.

Running a model may change it for the time being: which attention it uses, which rows its head sees, what
share it hides. Modules are a few milliseconds of copying; weights are most of a model's memory.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from app.modalities.base import AnyHandler
from app.modalities.served_model import ServedModel
from app.types import Task


def replicate(model: ServedModel) -> Mapping[Task, AnyHandler]:
    """Its handlers over another model with the very same tensors, for another thread to run.

    While nobody runs the model, and after all that changes its weights: what is done to one later the other
    does not see.
    """
    shared = {id(tensor): tensor for tensor in _tensors(model.model)}
    return copy.deepcopy(dict(model.tasks), shared)


def _tensors(model: nn.Module) -> Iterator[Any]:
    for module in model.modules():
        for value in (*module._parameters.values(), *module._buffers.values(), *vars(module).values()):
            if isinstance(value, Tensor):
                yield value
