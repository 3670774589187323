"""Linear layers laid out for the CPU once, not again at every forward.

oneDNN multiplies by a weight in blocks of its own. From a plain tensor it makes them anew each time,
which costs a batch a quarter of its time and a single short text half of it. The results are equal bit
for bit; only a GELU, computed on the float32 sums before they are rounded, is nearer to the exact one.
"""

import torch
from torch import Tensor, nn
from transformers.activations import GELUActivation

# A linear layer and the activation that follows it, as the models that are served name them.
_FOLLOWED = (("dense", "intermediate_act_fn"), ("dense", "transform_act_fn"), ("lin1", "activation"))

# Layers by the class that owns them, which multiplies by their weights itself and never calls them.
_READ = {
    "MobileBertLMPredictionHead": ("dense", "decoder"),
    "WavLMAttention": ("q_proj", "k_proj", "v_proj", "out_proj"),
}


class PackedLinear(nn.Linear):
    """A linear layer for inference. `weight` tells its shape and type, but its numbers are in `packed`."""

    packed: Tensor
    activation: str

    def forward(self, input: Tensor) -> Tensor:
        algorithm = "none" if self.activation == "gelu" else ""
        out: Tensor = torch.ops.mkldnn._linear_pointwise(input, self.packed, self.bias, self.activation, [], algorithm)
        return out


def pack(model: nn.Module) -> None:
    """For serving only: a packed model is neither trained nor saved. Nothing happens where it cannot help."""
    if not _available(next(model.parameters())):
        return
    for module in model.modules():
        for linear, activation in _FOLLOWED:
            _join(module, linear, activation)
    shared, read = _shared_weights(model), _read_layers(model)
    for module in model.modules():
        if type(module) is nn.Linear and id(module) not in read:
            _pack(module, "none", keep=id(module.weight) in shared)


def _available(parameter: Tensor) -> bool:
    if parameter.device.type != "cpu" or not torch._C._has_mkldnn:
        return False
    operators = torch.ops.mkldnn
    if not (hasattr(operators, "_linear_pointwise") and hasattr(operators, "_reorder_linear_weight")):
        return False  # a build of torch for another processor
    return parameter.dtype is torch.float32 or (
        parameter.dtype is torch.bfloat16 and bool(operators._is_mkldnn_bf16_supported())
    )


def _join(module: nn.Module, linear: str, activation: str) -> None:
    """A GELU after a linear layer becomes a part of it."""
    layer, function = getattr(module, linear, None), getattr(module, activation, None)
    if type(layer) is nn.Linear and type(function) is GELUActivation:
        _pack(layer, "gelu", keep=False)
        setattr(module, activation, nn.Identity())


def _pack(layer: nn.Linear, activation: str, *, keep: bool) -> None:
    """keep: the weight as well, because the embedding table is the same tensor."""
    packed = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach().contiguous(), None)
    if not keep:
        layer.weight = nn.Parameter(layer.weight.detach().to("meta"), requires_grad=False)
    layer.__class__ = PackedLinear
    layer.__dict__ |= {"packed": packed, "activation": activation}


def _read_layers(model: nn.Module) -> set[int]:
    """Ids of layers that cannot be packed, because their owners read their weights."""
    owners = ((module, _READ.get(type(module).__name__, ())) for module in model.modules())
    return {id(getattr(module, name)) for module, names in owners for name in names}


def _shared_weights(model: nn.Module) -> set[int]:
    """Ids of parameters that several modules hold."""
    owners: dict[int, int] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            owners[id(parameter)] = owners.get(id(parameter), 0) + 1
    return {key for key, count in owners.items() if count > 1}
