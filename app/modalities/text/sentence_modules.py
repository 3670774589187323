"""Modules of sentence-transformers with weights, read from their folders."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from app.errors import InvalidModel
from app.modalities.model_files import as_invalid_model
from app.modalities.text.pipeline import Dense

# Activations of torch that need no argument and do nothing random.
_ACTIVATIONS = {
    activation.__name__: activation
    for activation in (
        *(nn.Identity, nn.Tanh, nn.ReLU, nn.GELU, nn.Sigmoid, nn.SiLU, nn.Mish, nn.ELU, nn.CELU, nn.SELU, nn.ReLU6),
        *(nn.LeakyReLU, nn.Softplus, nn.Softsign, nn.Softshrink, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid),
        *(nn.Tanhshrink, nn.LogSigmoid),
    )
}


def read_dense(folder: Path, config: Mapping[str, Any]) -> Dense:
    """Raises InvalidModel."""
    activation = read_activation(config)
    weights = _read_weights(folder)
    shape = (config.get("out_features"), config.get("in_features"))
    has_bias = config.get("bias", True) is True
    linear = _linear(
        _take(folder, weights, "linear.weight", shape),
        _take(folder, weights, "linear.bias", shape[:1]) if has_bias else None,
    )
    residual: nn.Module | None = None
    if config.get("use_residual") is True:
        same = shape[0] == shape[1]
        residual = nn.Identity() if same else _linear(_take(folder, weights, "residual.weight", shape), None)
    return Dense(linear, activation, residual).eval()


def read_layer_norm(folder: Path, config: Mapping[str, Any]) -> nn.LayerNorm:
    """Raises InvalidModel."""
    weights = _read_weights(folder)
    shape = (config.get("dimension"),)
    weight, bias = (_take(folder, weights, f"norm.{name}", shape) for name in ("weight", "bias"))
    norm = nn.LayerNorm(len(weight), device="meta")
    norm.weight, norm.bias = nn.Parameter(weight), nn.Parameter(bias)
    return norm.eval()


def read_activation(config: Mapping[str, Any]) -> nn.Module:
    """Raises InvalidModel."""
    name = config.get("activation_function", "torch.nn.modules.activation.Tanh")
    made = _ACTIVATIONS.get(str(name).rpartition(".")[2]) if str(name).startswith("torch.nn.") else None
    if made is None:
        raise InvalidModel(f"the sentence-transformers module Dense with the activation {name} is not supported")
    return made()


def _read_weights(folder: Path) -> dict[str, Tensor]:
    path = folder / "model.safetensors"
    if not path.is_file():
        raise InvalidModel(f"{folder.name} of the model folder has no model.safetensors")
    with as_invalid_model(f"{folder.name}/{path.name} cannot be read"):
        return load_file(path)


def _take(folder: Path, weights: Mapping[str, Tensor], name: str, shape: tuple[Any, ...]) -> Tensor:
    """A tensor of the shape that the configuration says, in float32. Raises InvalidModel."""
    tensor = weights.get(name)
    if tensor is None or tuple(tensor.shape) != shape:
        found = "missing" if tensor is None else f"of shape {tuple(tensor.shape)}"
        raise InvalidModel(f"{name} of {folder.name} is {found}; config.json says {shape}")
    return tensor.to(torch.float32)


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    outputs, inputs = weight.shape
    linear = nn.Linear(inputs, outputs, bias=bias is not None, device="meta")  # draws no random numbers
    linear.weight = nn.Parameter(weight)
    if bias is not None:
        linear.bias = nn.Parameter(bias)
    return linear
