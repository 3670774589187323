"""Folders of sentence-transformers' MultiVectorEncoder (ColBERT): an encoder, and modules over its tokens."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from app.errors import InvalidModel
from app.modalities.text.pipeline import MultiVector, Normalize, QueryExpansion
from app.modalities.text.sentence_modules import read_activation, read_dense, read_layer_norm

KIND = "MultiVectorEncoder"
MASK = "MultiVectorMask"
MODULES = ("Transformer", MASK, "Dense", "LayerNorm", "Normalize", "Dropout")
_TOKENS = "token_embeddings"
_FIELDS = ("module_input_name", "module_output_name")
_STRATEGIES = {"fixed": True, "min": False}
_FUNCTIONS = {None: False, "maxsim": False, "meanmaxsim": True}

Json = Mapping[str, Any]
Modules = Sequence[tuple[str, Path, Json]]  # name, folder and configuration of each after the encoder


def check_modules(modules: Modules) -> None:
    """Raises InvalidModel for a module that does not run over the vectors of tokens."""
    for name, _, config in modules:
        over = {config.get(field) or (_TOKENS if name == "Dense" else None) for field in _FIELDS}
        if name in ("Dense", "Normalize") and over != {_TOKENS}:
            raise InvalidModel(f"the module {name} of a multi-vector encoder does not run over the vectors of tokens")
        if name == "Dense":
            read_activation(config)


def read_multi_vector(modules: Modules, transformer: Json, settings: Json, *, weights: bool) -> MultiVector:
    """Returns how vectors of tokens are made.

    transformer: the configuration of the encoder. settings: those of the folder. weights: read those of the modules;
    without them, the result has none. Raises InvalidModel.
    """
    check_modules(modules)
    built = [_build(*module) for module in modules] if weights else []
    projection = [module for module in built if module is not None]
    normalize = bool(projection) and isinstance(projection[-1], Normalize)
    name = settings.get("similarity_fn_name")
    if name not in _FUNCTIONS:
        raise InvalidModel(f"the similarity function {name!r} of a multi-vector encoder is not supported")
    return MultiVector(
        nn.Sequential(*(projection[:-1] if normalize else projection)),
        normalize,
        expansion=_read_expansion(transformer.get("query_expansion")),
        query_length=_read_length(transformer, "query_length"),
        document_length=_read_length(transformer, "document_length"),
        mean=_FUNCTIONS[name],
        **_read_mask(modules),
    )


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
