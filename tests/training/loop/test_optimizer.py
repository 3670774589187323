from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from app.methods import MlmHyperparameters
from app.methods.image import MAE_PRESETS
from app.modalities.image.builder import build_preset
from app.training.loop.optimizer import MUON_MOMENTUM, layer_matrices, make_optimizer
from app.training.loop.plan import Plan, make_plan


def plan(**hyperparameters: Any) -> Plan:
    given = MlmHyperparameters(optimizer="muon", learning_rate=0.01, head_learning_rate=0.05, **hyperparameters)
    return make_plan(
        given,
        samples=8,
        tokens=8,
        samples_per_step=1,
        from_scratch=True,
        new_head=True,
        precision=torch.float32,
    )


class Small(nn.Module):
    """An encoder of two layers with an embedding, and a head."""

    base_model_prefix = "body"

    def __init__(self) -> None:
        super().__init__()
        layers = nn.ModuleList(nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 4)) for _ in range(2))
        self.body = nn.ModuleDict({"embeddings": nn.Embedding(5, 4), "layers": layers})
        self.head = nn.Linear(4, 5)


def test_muon_trains_the_matrices_of_the_layers_alone() -> None:
    optimizer = make_optimizer(Small(), plan(weight_decay=0.1))
    groups = {
        g["name"]: ([tuple(p.shape) for p in g["params"]], g["lr"], g["weight_decay"]) for g in optimizer.param_groups
    }
    assert groups == {
        "body-matrices": ([(6, 4), (4, 6)] * 2, 0.01, 0.1),
        "body": ([(5, 4)], 0.01, 0.1),
        "body-vectors": ([(6,), (6,), (6,), (4,)] * 2, 0.01, 0.0),
        "head": ([(5, 4)], 0.05, 0.1),
        "head-vectors": ([(5,)], 0.05, 0.0),
    }


def test_convolutions_and_both_stacks_of_an_autoencoder_are_told_apart() -> None:
    names = set(layer_matrices(build_preset(dict(MAE_PRESETS["mae-tiny"]))))
    assert {name.split(".")[0] for name in names} == {"vit", "decoder"}
    assert not any(part in name for name in names for part in ("embeddings", "norm", "decoder_pred", "decoder_embed"))


def reference_step(weight: np.ndarray, gradient: np.ndarray, momentum: np.ndarray, rate: float, decay: float) -> Any:
    """Returns (weight, momentum) after a step of Muon with Nesterov's momentum, orthogonalized by an SVD."""
    momentum = MUON_MOMENTUM * momentum + (1 - MUON_MOMENTUM) * gradient
    u, _, v = np.linalg.svd((1 - MUON_MOMENTUM) * gradient + MUON_MOMENTUM * momentum, full_matrices=False)
    return weight * (1 - rate * decay) - rate * 0.2 * np.sqrt(max(weight.shape)) * u @ v, momentum


def test_a_step_of_muon_is_the_published_one() -> None:
    torch.manual_seed(0)
    model = Small()
    optimizer = make_optimizer(model, plan(weight_decay=0.1))
    name, parameter = next(iter((n, p) for n, p in model.named_parameters() if n.endswith("layers.0.0.weight")))
    weight, momentum = parameter.detach().double().numpy(), np.zeros((6, 4))
    for step in range(3):
        gradient = torch.randn(6, 4, generator=torch.Generator().manual_seed(step))
        parameter.grad = gradient.clone()
        before = weight
        weight, momentum = reference_step(weight, gradient.double().numpy(), momentum, 0.01, 0.1)
        optimizer.step()
        found = parameter.detach().double().numpy()
        # Newton and Schulz's iteration brings the singular values into 0.7 to 1.2 only, in bfloat16.
        moved, expected = found - before * (1 - 0.001), weight - before * (1 - 0.001)
        np.testing.assert_allclose(np.linalg.svd(moved)[1], np.linalg.svd(expected)[1], rtol=0.35, err_msg=name)
        assert np.sum(moved * expected) > 0.97 * np.linalg.norm(moved) * np.linalg.norm(expected)
        weight = found


def test_a_model_without_such_matrices_is_trained_by_adamw() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    model.base_model_prefix = "none"
    assert isinstance(make_optimizer(model, plan()), torch.optim.AdamW)
    assert pytest.approx(0.05) == make_optimizer(model, plan()).param_groups[0]["lr"]
