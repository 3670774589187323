"""Older folders of multi-vector models, described in the terms of sentence-transformers' MultiVectorEncoder.

PyLate up to its version 3 keeps lengths, prefixes and punctuation in the settings of the folder. Stanford's ColBERT
keeps them in `artifact.metadata`, and the projection among the weights of the encoder. What is absent has the values
that sentence-transformers reads.
"""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

from app.errors import InvalidModel
from app.modalities.model_files import read_json
from app.modalities.text.sentence_files import SETTINGS, read_modules, read_object, read_transformer_config

Json = Mapping[str, Any]
Modules = Sequence[tuple[str, Path, Json]]

TOKENS = "token_embeddings"
FIELDS = ("module_input_name", "module_output_name")  # of a module's configuration
MASK = "MultiVectorMask"
MODULES = ("Transformer", MASK, "Dense", "LayerNorm", "Normalize", "Dropout")
_ARCHITECTURE = "HF_ColBERT"
_WEIGHT = "linear.weight"
_QUERY_LENGTH = 32  # tokens of an expanded query, unless the folder says another number


@dataclass(frozen=True)
class MultiVectorFiles:
    """The facts that a folder states.

    modules: name, folder and configuration of each after the encoder. transformer: the configuration of the encoder.
    similarity: name of the function. markers: prompts that begin with a token which texts do not have.
    prompts: by name, instead of those in the settings; None: those.
    """

    modules: Modules
    transformer: Json
    similarity: Any = None
    markers: Sequence[str] = ()
    prompts: Mapping[str, str] | None = None


def describe(folder: Path, *, weights: bool) -> MultiVectorFiles | None:
    """Returns the facts that a folder states; None for one of another kind.

    weights: whether it has them. Raises InvalidModel.
    """
    settings = read_object(folder / SETTINGS)
    kind = settings.get("model_type")
    if kind in ("MultiVectorEncoder", "ColBERT") and (folder / "modules.json").is_file():
        modules = [(name, path, read_object(path / "config.json")) for name, path in read_modules(folder, MODULES)]
        files = MultiVectorFiles(modules, read_transformer_config(folder), settings.get("similarity_fn_name"))
        return _describe_pylate(files, settings) if kind == "ColBERT" else files
    if _ARCHITECTURE in (read_object(folder / "config.json").get("architectures") or ()):
        return _describe_stanford(folder, weights=weights)
    return None


def _describe_pylate(files: MultiVectorFiles, settings: Json) -> MultiVectorFiles:
    prefixes = {name: settings.get(f"{name}_prefix") or "" for name in ("query", "document")}
    given = {name: text or "" for name, text in (settings.get("prompts") or {}).items()}
    prompts = {name: prefix + given.get(name, "").removeprefix(prefix) for name, prefix in prefixes.items()}
    words = settings.get("skiplist_words")
    transformer = {name: settings[name] for name in ("query_length", "document_length") if settings.get(name)}
    if settings.get("do_query_expansion") is not False:
        attend = settings.get("attend_to_expansion_tokens", settings.get("attend_to_mask_tokens"))
        length = transformer.pop("query_length", _QUERY_LENGTH)
        transformer["query_expansion"] = {"strategy": "fixed", "attend": bool(attend), "length": length}
    return MultiVectorFiles(
        [*files.modules, *_closing_modules(list(string.punctuation) if words is None else words)],
        {**files.transformer, **transformer},
        None if files.similarity not in ("maxsim", "meanmaxsim") else files.similarity,
        list(prefixes.values()),
        given | prompts,
    )


def _describe_stanford(folder: Path, *, weights: bool) -> MultiVectorFiles:
    path = folder / "artifact.metadata"
    metadata = read_json(path) if path.is_file() else {}
    if not isinstance(metadata, dict):
        raise InvalidModel("artifact.metadata of the model folder is not a JSON object")
    names = {"query": ("query_token_id", "[unused0]"), "document": ("doc_token_id", "[unused1]")}
    prompts = {purpose: f"{metadata.get(name) or default} " for purpose, (name, default) in names.items()}
    transformer = {
        "document_length": metadata.get("doc_maxlen"),
        "query_expansion": {
            "strategy": "fixed",
            "attend": bool(metadata.get("attend_to_mask_tokens")),
            "length": metadata.get("query_maxlen") or _QUERY_LENGTH,
        },
    }
    words = list(string.punctuation) if metadata.get("mask_punctuation", True) else []
    projection = [("Dense", folder, _projection(folder))] if weights else []
    modules = [*projection, *_closing_modules(words)]
    return MultiVectorFiles(modules, transformer, markers=list(prompts.values()), prompts=prompts)


def _projection(folder: Path) -> Json:
    """Returns the configuration of the projection among the encoder's weights. Raises InvalidModel."""
    path = folder / "model.safetensors"
    if path.is_file():
        with safe_open(path, framework="pt") as weights:
            if _WEIGHT in weights.keys():  # noqa: SIM118 - it is no mapping
                made, read = weights.get_slice(_WEIGHT).get_shape()
                identity = "torch.nn.modules.linear.Identity"
                return {"in_features": read, "out_features": made, "bias": False, "activation_function": identity}
    raise InvalidModel(f"the weights of the ColBERT model have no {_WEIGHT}, which is its projection")


def _closing_modules(words: Any) -> Modules:
    return [(MASK, Path(), {"skiplist_words": words}), ("Normalize", Path(), dict.fromkeys(FIELDS, TOKENS))]
