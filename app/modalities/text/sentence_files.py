"""The files of a sentence-transformers folder, as objects."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from app.errors import InvalidModel
from app.modalities.model_files import read_json
from app.modalities.text.matryoshka import read_matryoshka

_PACKAGE = "sentence_transformers."
_ALIASES = {"pylate.models.Dense.Dense": "sentence_transformers.models.Dense"}  # the same modules of other packages
SETTINGS = "config_sentence_transformers.json"

# Of the transformer; the first that is there is read.
_TRANSFORMER_CONFIGS = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)

MODULES = ("Transformer", "Pooling", "Dense", "LayerNorm", "Dropout", "Normalize")
_OVER_WORDS = "it runs over the vectors of tokens, before they are pooled"
_SPARSE = "it gives sparse vectors over the vocabulary, and embeddings are dense"
_NO_TRANSFORMER = "it takes the place of a transformer, and only masked models are served"
_ROUTES = "it has several models, and a request does not say which"
_REFUSED = {
    "WeightedLayerPooling": "it pools over all layers, and only the last one's vectors are read",
    "SpladePooling": _SPARSE,
    "MLMTransformer": _SPARSE,
    "SparseAutoEncoder": _SPARSE,
    "CNN": _OVER_WORDS,
    "LSTM": _OVER_WORDS,
    "WordWeights": _OVER_WORDS,
    "WordEmbeddings": _NO_TRANSFORMER,
    "StaticEmbedding": _NO_TRANSFORMER,
    "SparseStaticEmbedding": _NO_TRANSFORMER,
    "BoW": _NO_TRANSFORMER,
    "CLIPModel": _NO_TRANSFORMER,
    "Router": _ROUTES,
    "Asym": _ROUTES,
    "LogitScore": "it scores pairs of texts, as a cross-encoder does",
}


def read_modules(folder: Path, known: Sequence[str] = MODULES) -> list[tuple[str, Path]]:
    """The names and folders of the modules after the transformer, in their order. Raises InvalidModel.

    known: names of modules that the kind of model may have.
    """
    try:
        listed = [(str(each["type"]), str(each["path"])) for each in read_json(folder / "modules.json")]
    except (KeyError, TypeError) as error:
        raise InvalidModel("modules.json of the model folder is not a list of types and paths") from error
    found = []
    for place, (given, path) in enumerate(listed):
        kind = _ALIASES.get(given, given)
        # Types are dotted paths that moved between releases; their last word did not.
        name = kind.rpartition(".")[2]
        _check_module(place, kind, path, known)
        found.append((name, folder / path))
    if not found:
        raise InvalidModel("modules.json of the model folder lists no module")
    return found[1:]


def _check_module(place: int, kind: str, path: str, known: Sequence[str]) -> None:
    """Raises InvalidModel."""
    name = kind.rpartition(".")[2]
    named = f"the sentence-transformers module {name}"
    if not kind.startswith(_PACKAGE):
        raise InvalidModel(f"the module {kind} is code of the model's own, which is never run")
    if name in _REFUSED:
        raise InvalidModel(f"{named} is not supported: {_REFUSED[name]}")
    if name not in known:
        raise InvalidModel(f"{named} is not supported")
    if (name == "Transformer") != (place == 0) or (name == "Pooling" and place != 1):
        raise InvalidModel(f"{named} is number {place} of modules.json, where it is not supported")
    if path.startswith("/") or ".." in PurePosixPath(path).parts:
        raise InvalidModel(f"{named} has its files outside the model folder")


def read_transformer(folder: Path) -> dict[str, Any]:
    """SentencePipeline's `max_length` and `lower_case`."""
    config = read_transformer_config(folder)
    task = config.get("transformer_task", "feature-extraction")
    text = (config.get("modality_config") or {}).get("text") or {}
    output = text.get("method_output_name", "last_hidden_state")
    if task != "feature-extraction" or output != "last_hidden_state":
        raise InvalidModel(f"the sentence-transformers module Transformer for {task}, {output} is not supported")
    return {"max_length": read_longest(config), "lower_case": config.get("do_lower_case") is True}


def read_longest(config: Mapping[str, Any]) -> int | None:
    """Returns the tokens that are embedded; None where the file does not say. Raises InvalidModel."""
    longest = config.get("max_seq_length")
    if longest is not None and (not isinstance(longest, int) or longest < 1):
        raise InvalidModel(f"max_seq_length is {longest!r}, which is not a number of tokens")
    return longest


def read_transformer_config(folder: Path) -> dict[str, Any]:
    """Returns the configuration of the encoder; empty without a file."""
    return next((found for name in _TRANSFORMER_CONFIGS if (found := read_object(folder / name))), {})


def read_settings(folder: Path) -> dict[str, Any]:
    """SentencePipeline's part of config_sentence_transformers.json. Raises InvalidModel."""
    settings = read_object(folder / SETTINGS)
    given = settings.get("prompts") or {}
    default, truncate_dim = settings.get("default_prompt_name"), settings.get("truncate_dim")
    if not isinstance(given, dict) or not all(isinstance(each, str | None) for each in given.values()):
        raise InvalidModel(f"prompts of {SETTINGS} is not an object of texts")
    prompts = {name: prompt or "" for name, prompt in given.items()}
    # The library has these two without being told.
    if default is not None and default not in {"query": "", "document": ""} | prompts:
        raise InvalidModel(f"default_prompt_name of {SETTINGS} is {default!r}, which is not one of its prompts")
    if truncate_dim is not None and (not isinstance(truncate_dim, int) or truncate_dim < 1):
        raise InvalidModel(f"truncate_dim of {SETTINGS} is {truncate_dim!r}, which is not a number of dimensions")
    kept = {"similarity_fn_name": settings["similarity_fn_name"]} if "similarity_fn_name" in settings else {}
    return {
        "prompts": prompts,
        "default_prompt": default if default in prompts else None,
        "truncate_dim": truncate_dim,
        "matryoshka": read_matryoshka(folder, settings),
        "settings": kept,
    }


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is no file. Raises InvalidModel."""
    if not path.is_file():
        return {}
    content = read_json(path)
    if not isinstance(content, dict):
        raise InvalidModel(f"{path.name} of the model folder is not a JSON object")
    return content
