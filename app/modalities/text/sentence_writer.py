"""Writes how a model embeds, in the files that sentence-transformers reads."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, nn

from app.modalities.text.matryoshka import FIELD
from app.modalities.text.pipeline import Dense, Normalize, PoolingMode, SentencePipeline
from app.modalities.text.sentence_files import SETTINGS
from app.modalities.text.sentence_transformers import FLAGS

_MODULES = "sentence_transformers.models"


def write_pipeline(folder: Path, pipeline: SentencePipeline, *, max_length: int, dimension: int) -> None:
    """Makes a saved encoder a folder that sentence-transformers, too, embeds with in the same way.

    max_length: tokens that are embedded. dimension: of a token's vector.
    """
    head = [*pipeline.head, *([Normalize()] if pipeline.normalize else [])]
    kinds = ["Transformer", "Pooling", *(type(module).__name__ for module in head)]
    paths = ["", *(f"{place}_{kind}" for place, kind in enumerate(kinds[1:], start=1))]
    modules = [
        {"idx": place, "name": str(place), "path": path, "type": f"{_MODULES}.{kind}"}
        for place, (path, kind) in enumerate(zip(paths, kinds, strict=True))
    ]
    for path in paths:
        (folder / path).mkdir(parents=True, exist_ok=True)
    _write(folder / "modules.json", modules)
    _write(folder / paths[1] / "config.json", {"word_embedding_dimension": dimension, **_written_pooling(pipeline)})
    for path, module in zip(paths[2:], head, strict=True):
        _write_module(folder / path, module)
    lower = {"do_lower_case": True} if pipeline.lower_case else {}
    _write(folder / "sentence_bert_config.json", {"max_seq_length": max_length, **lower})
    _write_settings(folder, pipeline)


def _written_pooling(pipeline: SentencePipeline) -> dict[str, Any]:
    """The older form, which every release reads, unless the modes are in an order that it cannot say."""
    prompt = {} if pipeline.include_prompt else {"include_prompt": False}
    if list(pipeline.pooling) != [mode for mode in PoolingMode if mode in pipeline.pooling]:
        return {"pooling_mode": list(pipeline.pooling), **prompt}
    return {flag: mode in pipeline.pooling for mode, flag in FLAGS.items()} | prompt


def _write_module(folder: Path, module: nn.Module) -> None:
    if isinstance(module, Dense):
        tensors = {f"linear.{name}": tensor for name, tensor in module.linear.state_dict().items()}
        if isinstance(module.residual, nn.Linear):
            tensors["residual.weight"] = module.residual.weight
        activation = type(module.activation)
        config: dict[str, Any] = {
            "in_features": module.linear.in_features,
            "out_features": module.linear.out_features,
            "bias": module.linear.bias is not None,
            "activation_function": f"{activation.__module__}.{activation.__name__}",
            **({} if module.residual is None else {"use_residual": True}),
        }
    elif isinstance(module, nn.LayerNorm):
        tensors = {f"norm.{name}": tensor for name, tensor in module.state_dict().items()}
        config = {"dimension": module.normalized_shape[0]}
    else:
        return
    _write(folder / "config.json", config)
    _save(folder / "model.safetensors", tensors)


def _write_settings(folder: Path, pipeline: SentencePipeline) -> None:
    settings: dict[str, Any] = dict(pipeline.settings)
    if pipeline.prompts:
        settings |= {"prompts": dict(pipeline.prompts), "default_prompt_name": pipeline.default_prompt}
    if pipeline.truncate_dim is not None:
        settings["truncate_dim"] = pipeline.truncate_dim
    if pipeline.matryoshka is not None:
        sizes = pipeline.matryoshka.sizes
        settings |= {FIELD: list(sizes)} if sizes else {"is_matryoshka": True}
    if settings:
        _write(folder / SETTINGS, settings)


def _save(path: Path, tensors: Mapping[str, Tensor]) -> None:
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
