"""The optimizers of a run, and the precision of its forward passes."""

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any, Protocol

import torch
from torch import nn

from app.training.loop.checkpoint import Stateful
from app.training.loop.plan import Plan

MUON_MOMENTUM = 0.95  # of the published recipes


class RunOptimizer(Stateful, Protocol):
    """One or several optimizers, as the training loop uses them."""

    @property
    def param_groups(self) -> list[dict[str, Any]]: ...

    def step(self) -> Any: ...

    def zero_grad(self, set_to_none: bool = True) -> None: ...


def make_optimizer(model: nn.Module, plan: Plan) -> RunOptimizer:
    """Returns the plan's optimizer with a separate learning rate for the head.

    AdamW does not decay biases and norms. Muon (see `MuonAdamW`) takes over `layer_matrices`.
    """
    matrices = set(layer_matrices(model)) if plan.optimizer == "muon" else set()
    groups: dict[tuple[str, str], list[nn.Parameter]] = {}
    rates = {"body": plan.learning_rate, "head": plan.head_learning_rate}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            part = "body" if name.startswith(f"{model.base_model_prefix}.") else "head"
            kind = "-matrices" if name in matrices else "" if parameter.ndim > 1 else "-vectors"
            groups.setdefault((part, kind), []).append(parameter)

    def describe(part: str, kind: str) -> dict[str, Any]:
        decay = 0.0 if kind == "-vectors" else plan.weight_decay
        rate = rates[part]
        return {"name": part + kind, "params": groups[part, kind], "peak_lr": rate, "lr": rate, "weight_decay": decay}

    of_layers = [describe(*key) for key in groups if key[1] == "-matrices"]
    others = [describe(*key) for key in groups if key[1] != "-matrices"]
    adamw = torch.optim.AdamW(others, betas=plan.betas, fused=True)
    if not of_layers:
        return adamw
    return MuonAdamW(torch.optim.Muon(of_layers, momentum=MUON_MOMENTUM, adjust_lr_fn="match_rms_adamw"), adamw)


def layer_matrices(model: nn.Module) -> Iterator[str]:
    """Yields the names of the weights that Muon suits: those of linear maps within the repeated layers of a model.

    Embeddings, heads, convolutions, biases and norms are none of them.
    """
    lists = tuple(f"{name}." for name, module in model.named_modules() if isinstance(module, nn.ModuleList))
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and name.startswith(lists):
            yield f"{name}.weight"


class MuonAdamW:
    """Muon for some weights and AdamW for the rest, used as one optimizer.

    Muon (https://kellerjordan.github.io/posts/muon/) orthogonalizes the momentum of each matrix. Its step is scaled by
    0.2 · √(larger side), the size of AdamW's steps (arXiv 2502.16982), so both share a learning rate.
    """

    def __init__(self, muon: torch.optim.Muon, adamw: torch.optim.AdamW) -> None:
        self._parts = {"muon": muon, "adamw": adamw}

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [group for part in self._parts.values() for group in part.param_groups]

    def step(self) -> None:
        for part in self._parts.values():
            part.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        for part in self._parts.values():
            part.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in self._parts.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name, part in self._parts.items():
            part.load_state_dict(state_dict[name])


def autocast(device: torch.device, precision: torch.dtype) -> Any:
    """Returns the context in which a model of float32 weights computes in `precision`."""
    return nullcontext() if precision == torch.float32 else torch.autocast(device.type, dtype=precision)
