"""How a folder embeds, in the files of sentence-transformers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from app.errors import InvalidModel
from app.modalities.model_files import as_invalid_model, read_json
from app.modalities.text.matryoshka import read_matryoshka
from app.modalities.text.multi_vector_folder import read_multi_vector
from app.modalities.text.pipeline import Normalize, PoolingMode, SentencePipeline
from app.modalities.text.sentence_files import (
    SETTINGS,
    read_longest,
    read_modules,
    read_object,
    read_settings,
    read_transformer,
    read_transformer_config,
)
from app.modalities.text.sentence_modules import read_activation, read_dense, read_layer_norm
from app.modalities.text.splade_folder import read_splade

FLAGS = {
    PoolingMode.CLS: "pooling_mode_cls_token",
    PoolingMode.MAX: "pooling_mode_max_tokens",
    PoolingMode.MEAN: "pooling_mode_mean_tokens",
    PoolingMode.MEAN_SQRT_LENGTH: "pooling_mode_mean_sqrt_len_tokens",
    PoolingMode.WEIGHTED_MEAN: "pooling_mode_weightedmean_tokens",
    PoolingMode.LAST: "pooling_mode_lasttoken",
}

_KINDS = {
    "CrossEncoder": "a cross-encoder, which scores pairs of texts and makes no embeddings",
    "SparseEncoder": "a sparse encoder, whose vectors are over the vocabulary",
}


def read(folder: Path) -> SentencePipeline:
    """How a folder embeds; the default for one that does not say. Raises InvalidModel for what is not supported."""
    with as_invalid_model("the files of sentence-transformers cannot be read"):
        return _read(folder)


def _read(folder: Path) -> SentencePipeline:
    if (sparse := read_splade(folder)) is not None:
        return SentencePipeline(
            sparse=sparse, max_length=read_longest(read_transformer_config(folder)), **read_settings(folder)
        )
    if (multi_vector := read_multi_vector(folder)) is not None:
        return multi_vector
    check_kind(folder)
    if not (folder / "modules.json").is_file():
        return SentencePipeline(matryoshka=read_matryoshka(folder, {}))
    modules = read_modules(folder)
    options = _take_pooling(modules)
    head = [made for kind, path in modules if (made := _build(kind, path)) is not None]
    normalize = bool(head) and isinstance(head[-1], Normalize)
    options |= {"head": nn.Sequential(*(head[:-1] if normalize else head)), "normalize": normalize}
    return SentencePipeline(**options, **read_transformer(folder), **read_settings(folder))


def check(folder: Path) -> None:
    """Judges what `read` reads but for weights. Raises InvalidModel."""
    with as_invalid_model("the files of sentence-transformers cannot be read"):
        if is_cross_encoder(folder):
            _check_cross_encoder(folder)
            return
        if read_splade(folder) is not None:
            read_longest(read_transformer_config(folder))
            read_settings(folder)
            return
        if read_multi_vector(folder, weights=False) is not None:
            return
        check_kind(folder)
        if (folder / "modules.json").is_file():
            modules = read_modules(folder)
            _take_pooling(modules)
            for kind, path in modules:
                _module_config(kind, path)
            read_transformer(folder)
            read_settings(folder)


def _take_pooling(modules: list[tuple[str, Path]]) -> dict[str, Any]:
    """SentencePipeline's part of the module Pooling, which is taken from the list; empty without one."""
    if modules[:1] and modules[0][0] == "Pooling":
        _, path = modules.pop(0)
        config = read_object(path / "config.json")
        return {"pooling": _pooling(config), "include_prompt": config.get("include_prompt", True) is not False}
    return {}


def is_cross_encoder(folder: Path) -> bool:
    """Whether a folder is a classifier of pairs of texts, which is served by its head."""
    config = read_object(folder / "config.json")
    return _classifies(config) and _find_kind(config, read_object(folder / SETTINGS)) == "CrossEncoder"


def _check_cross_encoder(folder: Path) -> None:
    """Raises InvalidModel for a cross-encoder whose scores other modules compute."""
    if not (folder / "modules.json").is_file():
        return
    for each in read_json(folder / "modules.json"):
        kind = str(each["type"]).rpartition(".")[2]
        if kind != "Transformer":
            raise InvalidModel(f"the sentence-transformers module {kind} of a cross-encoder is not supported")


def check_kind(folder: Path) -> None:
    """Raises InvalidModel for a model of sentence-transformers that is not an encoder of dense embeddings."""
    kind = _find_kind(read_object(folder / "config.json"), read_object(folder / SETTINGS))
    if kind != "SentenceTransformer":
        raise InvalidModel(f"the model is {_KINDS.get(kind, f'a {kind}')}; that is not supported")


def _classifies(config: Mapping[str, Any]) -> bool:
    return any(str(name).endswith("ForSequenceClassification") for name in config.get("architectures") or ())


def _find_kind(config: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """Returns the name of the class of sentence-transformers that a model is of."""
    if {"sbert_ce_default_activation_function", "sentence_transformers"} & config.keys() or (
        _classifies(config) and len(config.get("id2label") or "  ") == 1
    ):
        return "CrossEncoder"
    return str(settings.get("model_type", "SentenceTransformer"))


def _build(kind: str, folder: Path) -> nn.Module | None:
    """The module of a folder; None for one that does nothing but in training."""
    config = _module_config(kind, folder)
    if kind == "Dropout":
        return None
    if kind == "Normalize":
        return Normalize()
    return read_dense(folder, config) if kind == "Dense" else read_layer_norm(folder, config)


def _module_config(kind: str, folder: Path) -> dict[str, Any]:
    """Raises InvalidModel."""
    config = read_object(folder / "config.json")
    if kind in ("Dense", "Normalize"):
        for name in ("module_input_name", "module_output_name"):
            value = config.get(name) or "sentence_embedding"
            if value != "sentence_embedding":
                raise InvalidModel(f"the sentence-transformers module {kind} over {value} is not supported")
    if kind == "Dense":
        read_activation(config)
    return config


def _pooling(config: Mapping[str, Any]) -> tuple[PoolingMode, ...]:
    """Both forms: `"pooling_mode": "cls"`, or a list of such, and the older `"pooling_mode_cls_token": true`."""
    given = config.get("pooling_mode")
    if given is None:
        given = [mode for mode, flag in FLAGS.items() if config.get(flag)] or [PoolingMode.MEAN]
        unknown = {key for key, on in config.items() if key.startswith("pooling_mode_") and on is True}
        given += sorted(unknown - set(FLAGS.values()))
    modes = [given] if isinstance(given, str) else given
    for mode in modes or [given]:
        if mode not in list(PoolingMode):
            raise InvalidModel(f"the pooling {mode!r} is not supported; {', '.join(PoolingMode)} are")
    return tuple(map(PoolingMode, modes))


def lower_cases(folder: Path) -> bool:
    """Whether texts are lower-cased before the folder's tokenizer reads them."""
    return (folder / "modules.json").is_file() and read_transformer_config(folder).get("do_lower_case") is True
