"""The optimizer of a run, and the precision of its forward passes."""

from contextlib import nullcontext
from typing import Any, Protocol

import torch


class OptimizerOptions(Protocol):
    """The hyperparameters of an optimizer. A `Plan` has them."""

    @property
    def learning_rate(self) -> float: ...
    @property
    def head_learning_rate(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def betas(self) -> tuple[float, float]: ...


def make_optimizer(model: torch.nn.Module, plan: OptimizerOptions) -> torch.optim.Optimizer:
    """Returns AdamW with a separate learning rate for the head, and without weight decay for biases and norms."""
    groups: dict[tuple[str, bool], list[torch.nn.Parameter]] = {}
    bare = getattr(model, "base_model", None) is model  # an encoder without a head
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            part = "body" if bare or name.startswith(f"{model.base_model_prefix}.") else "head"
            groups.setdefault((part, parameter.ndim > 1), []).append(parameter)
    rates = {"body": plan.learning_rate, "head": plan.head_learning_rate}
    return torch.optim.AdamW(
        [
            {
                "name": f"{part}{'' if decays else '-vectors'}",
                "params": parameters,
                "peak_lr": rates[part],
                "lr": rates[part],
                "weight_decay": plan.weight_decay if decays else 0.0,
            }
            for (part, decays), parameters in groups.items()
        ],
        betas=plan.betas,
        fused=True,
    )


def autocast(device: torch.device, precision: torch.dtype) -> Any:
    """Returns the context in which a model of float32 weights computes in `precision`."""
    return nullcontext() if precision == torch.float32 else torch.autocast(device.type, dtype=precision)
