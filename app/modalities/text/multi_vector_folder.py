"""Folders of multi-vector models (ColBERT): an encoder, and modules over the vectors of its tokens."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from app.errors import InvalidModel
from app.modalities.text.colbert_folders import FIELDS, MASK, TOKENS, Modules, MultiVectorFiles, describe
from app.modalities.text.pipeline import MultiVector, Normalize, QueryExpansion, SentencePipeline
from app.modalities.text.sentence_files import read_settings, read_transformer
from app.modalities.text.sentence_modules import read_activation, read_dense, read_layer_norm

_STRATEGIES = {"fixed": True, "min": False}
_FUNCTIONS = {None: False, "maxsim": False, "meanmaxsim": True}

Json = Mapping[str, Any]


def read_multi_vector(folder: Path, *, weights: bool = True) -> SentencePipeline | None:
    """Returns how a folder of a multi-vector model embeds; None for another folder.

    weights: read those of the modules; without them, the result has none. Raises InvalidModel.
    """
    files = describe(folder, weights=weights)
    if files is None:
        return None
    settings = read_settings(folder) | {"settings": {}}  # the similarity function is part of the vectors of tokens
    if files.prompts is not None:
        settings["prompts"] = files.prompts
    return SentencePipeline(multi_vector=_make(files, weights=weights), **read_transformer(folder), **settings)


def _make(files: MultiVectorFiles, *, weights: bool) -> MultiVector:
    _check_modules(files.modules)
    built = [_build(*module) for module in files.modules] if weights else []
    projection = [module for module in built if module is not None]
    normalize = bool(projection) and isinstance(projection[-1], Normalize)
    if files.similarity not in _FUNCTIONS:
        raise InvalidModel(f"the similarity function {files.similarity!r} of a multi-vector encoder is not supported")
    return MultiVector(
        nn.Sequential(*(projection[:-1] if normalize else projection)),
        normalize,
        expansion=_read_expansion(files.transformer.get("query_expansion")),
        query_length=_read_length(files.transformer, "query_length"),
        document_length=_read_length(files.transformer, "document_length"),
        mean=_FUNCTIONS[files.similarity],
        markers=files.markers,
        **_read_mask(files.modules),
    )


def _check_modules(modules: Modules) -> None:
    """Raises InvalidModel for a module that does not run over the vectors of tokens."""
    for name, _, config in modules:
        over = {config.get(field) or (TOKENS if name == "Dense" else None) for field in FIELDS}
        if name in ("Dense", "Normalize") and over != {TOKENS}:
            raise InvalidModel(f"the module {name} of a multi-vector encoder does not run over the vectors of tokens")
        if name == "Dense":
            read_activation(config)


def _build(name: str, folder: Path, config: Json) -> nn.Module | None:
    """Returns the module; None for one that changes no vector."""
    if name == "Dense":
        return read_dense(folder, config)
    if name == "LayerNorm":
        return read_layer_norm(folder, config)
    return Normalize() if name == "Normalize" else None


def _read_mask(modules: Modules) -> dict[str, Any]:
    """Returns which tokens are left out."""
    configs = [config for name, _, config in modules if name == MASK]
    if not configs:
        return {}
    if len(configs) > 1:
        raise InvalidModel(f"a multi-vector encoder with {len(configs)} modules {MASK} is not supported")
    (config,) = configs
    words, tasks = config.get("skiplist_words") or [], config.get("skiplist_tasks")
    tasks = ["document"] if tasks is None else [tasks] if isinstance(tasks, str) else tasks
    if not _are_texts(words) or not _are_texts(tasks):
        raise InvalidModel(f"skiplist_words and skiplist_tasks of {MASK} are not lists of texts")
    if config.get("keep_only_token_ids"):
        raise InvalidModel(f"the module {MASK} with keep_only_token_ids, which is for images, is not supported")
    return {"skipped_words": tuple(words), "skipping": tuple(tasks)}


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _read_expansion(given: Any) -> QueryExpansion | None:
    if given is None:
        return None
    strategy = given.get("strategy") if isinstance(given, dict) else None
    if strategy not in _STRATEGIES:
        raise InvalidModel(f"query_expansion {given!r} is not supported")
    length, attend, token = _read_length(given, "length"), given.get("attend", False), given.get("token")
    if length is None or not isinstance(attend, bool) or not isinstance(token, str | None):
        raise InvalidModel(f"query_expansion {given!r} is not supported")
    return QueryExpansion(length, _STRATEGIES[strategy], attend, token)


def _read_length(config: Json, name: str) -> int | None:
    length = config.get(name)
    if length is not None and (not isinstance(length, int) or isinstance(length, bool) or length < 1):
        raise InvalidModel(f"{name} is {length!r}, which is not a number of tokens")
    return length
