"""LoRA adapters of PEFT, merged into the weights of the model that they were trained on.

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (arXiv 2106.09685): W + alpha / r · B A.
The merge is in float32, and is that of PEFT's `merge_and_unload`.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from app.errors import InvalidModel
from app.modalities.model_files import as_invalid_model, read_json
from app.modalities.text.load import load_text

_PREFIX = "base_model.model."  # of every name: the two wrappers of PEFT
_LORA = re.compile(r"(?P<module>.+)\.(?P<part>lora_(?:embedding_)?[AB](?:\.bias)?)(?:\.weight)?")
# Names of modules and regular expressions that cannot take long, as the keys of rank_pattern and alpha_pattern.
_PATTERN = re.compile(r"\^?(?:\.\*)?[\w.\\-]+\$?")

# Fields of adapter_config.json under which a merge is right whatever their value, or that the merge reads.
_KNOWN = frozenset(
    {
        *("alpha_pattern", "auto_mapping", "base_model_name_or_path", "bias", "ensure_weight_tying", "eva_config"),
        *("exclude_modules", "fan_in_fan_out", "inference_mode", "init_lora_weights", "layers_pattern"),
        *("layers_to_transform", "lora_alpha", "lora_bias", "lora_dropout", "megatron_core", "modules_to_save"),
        *("peft_type", "peft_version", "r", "rank_pattern", "revision", "runtime_config", "target_modules"),
        *("task_type", "use_rslora"),
    }
)
# Ways to begin that leave the base as it was. Others, such as PiSSA, change its weights too.
_BEGINNINGS = (True, False, None, "gaussian", "eva", "orthogonal")
_OTHERS = {"use_dora": "DoRA", "use_qalora": "QALoRA", "alora_invocation_tokens": "an activated LoRA"}


def check_adapter(config: Mapping[str, Any]) -> None:
    """Raises InvalidModel for an adapter_config.json of another kind than plain LoRA."""
    kind = config.get("peft_type")
    if kind != "LORA":
        raise InvalidModel(f"the adapter is of the type {kind}; only LoRA adapters are merged", param="source")
    for name, value in config.items():
        if name not in _KNOWN and (value is True or (isinstance(value, list | dict) and value)):
            what = _OTHERS.get(name, f"LoRA with {name}")
            raise InvalidModel(f"the adapter is {what}; only plain LoRA adapters are merged", param="source")
    beginning = config.get("init_lora_weights", True)
    if beginning not in _BEGINNINGS:
        raise InvalidModel(
            f"the adapter began with {beginning}, which changes the base's weights; convert it to plain LoRA first"
            " (path_initial_model_for_weight_conversion of save_pretrained)",
            param="source",
        )
    for name in ("rank_pattern", "alpha_pattern"):
        patterns = config.get(name) or {}
        if not isinstance(patterns, Mapping) or not all(_PATTERN.fullmatch(each) for each in patterns):
            raise InvalidModel(f"{name} of adapter_config.json is not a table of module names", param="source")


def merge_adapter(adapter: Path, base: Path, target: Path) -> None:
    """Writes the text model of the folder `base`, with the adapter merged into it, into the folder `target`.

    adapter: holds adapter_config.json and adapter_model.safetensors. The weights are written in float32.
    Raises InvalidModel for an adapter of another kind, or one that does not fit the base.
    """
    config = read_json(adapter / "adapter_config.json")
    check_adapter(config)
    with as_invalid_model("the adapter's weights cannot be read"):
        weights = load_file(adapter / "adapter_model.safetensors")
    served = load_text(base)
    merge(served.model, config, weights)
    served.save(target, torch.float32)


def merge(model: PreTrainedModel, config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
    """Changes the weights of a model in float32 as an adapter says. Raises InvalidModel."""
    matrices: dict[str, dict[str, Tensor]] = {}
    for name, tensor in weights.items():
        if not name.startswith(_PREFIX):
            raise InvalidModel(f"the adapter holds {name}, which is not a name that PEFT writes", param="source")
        path = name.removeprefix(_PREFIX)
        if found := _LORA.fullmatch(path):
            matrices.setdefault(found["module"], {})[found["part"]] = tensor.to(torch.float32)
        else:
            _replace(model, path.replace(".base_layer.", ".").replace(".modules_to_save.", "."), tensor)
    if not matrices:
        raise InvalidModel("the adapter holds no LoRA matrices", param="source")
    _tell_ties(model)
    with torch.no_grad():
        for module, parts in matrices.items():
            _add(model, module, parts, config)


def _add(model: PreTrainedModel, name: str, parts: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Adds the product of a module's two matrices to its weight, and the bias of the second one to its bias."""
    module = _find_module(model, name)
    kind = "lora_embedding_" if isinstance(module, nn.Embedding) else "lora_"
    given = set(parts) - {"lora_B.bias"}
    if given != {f"{kind}A", f"{kind}B"} or not isinstance(module, nn.Linear | nn.Embedding | Conv1D):
        raise InvalidModel(
            f"the adapter holds {', '.join(sorted(parts))} for {name}, a {type(module).__name__}, where none can be",
            param="source",
        )
    first, second = parts[f"{kind}A"], parts[f"{kind}B"]
    rank = _pattern(config, "rank_pattern", name, config.get("r"))
    fits = first.dim() == second.dim() == 2 and len(first) == second.shape[1]
    if not fits or len(first) != rank:
        raise InvalidModel(
            f"the adapter's matrices of {name} are {list(first.shape)} and {list(second.shape)}, and its rank is"
            f" {rank}",
            param="source",
        )
    scale = _scale(config, name, int(rank))
    delta = second @ first * scale
    # Embeddings and Conv1D store the transposed matrix; `fan_in_fan_out` says no more than this.
    _check_shape(name, module.weight, delta := delta if isinstance(module, nn.Linear) else delta.T)
    module.weight += delta
    if (bias := parts.get("lora_B.bias")) is not None:
        if not isinstance(module.bias, Tensor):
            raise InvalidModel(f"the adapter has a bias for {name}, and the base has none there", param="source")
        module.bias.add_(bias * scale)


def _scale(config: Mapping[str, Any], module: str, rank: int) -> float:
    """alpha / r, or alpha / √r (rsLoRA, arXiv 2312.03732)."""
    alpha = _pattern(config, "alpha_pattern", module, config.get("lora_alpha"))
    if not isinstance(alpha, int | float) or not rank:
        raise InvalidModel("adapter_config.json names no lora_alpha and r", param="source")
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _pattern(config: Mapping[str, Any], field: str, module: str, default: Any) -> Any:
    """The value for a module: that of the first key which its name ends with, as PEFT has it."""
    patterns = config.get(field) or {}
    return next((value for key, value in patterns.items() if re.match(rf"(.*\.)?({key})$", module)), default)


def _find_module(model: PreTrainedModel, name: str) -> nn.Module:
    """The module of a name within the model, its bare encoder or a model around that."""
    prefix = f"{model.base_model_prefix}."
    modules = dict(model.named_modules())
    for each in (name, prefix + name, name.removeprefix(prefix)):
        if each in modules:
            return cast(nn.Module, modules[each])
    raise InvalidModel(f"the adapter changes {name}, which its base does not have", param="source")


def _replace(model: PreTrainedModel, name: str, tensor: Tensor) -> None:
    """Gives the module a parameter of its own: one that it shared with others keeps its value there."""
    path, _, leaf = name.rpartition(".")
    module = _find_module(model, path)
    old = getattr(module, leaf, None)
    if not isinstance(old, nn.Parameter):
        raise InvalidModel(f"the adapter holds {name}, which its base does not have", param="source")
    _check_shape(name, old, tensor)
    if not torch.equal(old, tensor.to(torch.float32)):
        setattr(module, leaf, nn.Parameter(tensor.to(torch.float32)))


def _tell_ties(model: PreTrainedModel) -> None:
    """Unties all weights, and makes the configuration say so, where a replacement untied the vocabulary projection."""
    output, entries = model.get_output_embeddings(), model.get_input_embeddings()
    if output is not None and not torch.equal(cast(Tensor, output.weight), cast(Tensor, entries.weight)):
        model.config.tie_word_embeddings = False
        seen: set[int] = set()
        for module in model.modules():
            for name, parameter in list(module.named_parameters(recurse=False)):
                if id(parameter) in seen:
                    setattr(module, name, nn.Parameter(parameter.detach().clone()))
                seen.add(id(parameter))


def _check_shape(name: str, weight: Tensor, tensor: Tensor) -> None:
    if weight.shape != tensor.shape:
        raise InvalidModel(
            f"the adapter's {name} is {list(tensor.shape)} and the base's {list(weight.shape)}: it was trained on"
            " another base",
            param="source",
        )
