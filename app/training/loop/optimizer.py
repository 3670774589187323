"""The optimiser of a run, and the precision of its products."""

from contextlib import nullcontext
from typing import Any

import torch

from app.training.loop.plan import Plan


def make_optimizer(model: torch.nn.Module, plan: Plan) -> torch.optim.Optimizer:
    """AdamW with a learning rate of its own for the head; vectors (biases, norms) do not decay."""
    groups: dict[tuple[str, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            part = "body" if name.startswith(f"{model.base_model_prefix}.") else "head"
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
    return nullcontext() if precision == torch.float32 else torch.autocast(device.type, dtype=precision)
