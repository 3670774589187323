"""How a folder embeds, in the files of sentence-transformers."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from torch import nn

from app.errors import InvalidModel
from app.modalities.model_files import as_invalid_model, read_json
from app.modalities.text.matryoshka import read_matryoshka
from app.modalities.text.multi_vector_folder import KIND, read_multi_vector
from app.modalities.text.multi_vector_folder import MODULES as TOKEN_MODULES
from app.modalities.text.pipeline import MultiVector, Normalize, PoolingMode, SentencePipeline
from app.modalities.text.sentence_modules import read_activation, read_dense, read_layer_norm
from app.modalities.text.splade_folder import read_splade

_PACKAGE = "sentence_transformers."
SETTINGS = "config_sentence_transformers.json"

# Of the transformer; the first that is there is read.
_TRANSFORMER_CONFIGS = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)

FLAGS = {
    PoolingMode.CLS: "pooling_mode_cls_token",
    PoolingMode.MAX: "pooling_mode_max_tokens",
    PoolingMode.MEAN: "pooling_mode_mean_tokens",
    PoolingMode.MEAN_SQRT_LENGTH: "pooling_mode_mean_sqrt_len_tokens",
    PoolingMode.WEIGHTED_MEAN: "pooling_mode_weightedmean_tokens",
    PoolingMode.LAST: "pooling_mode_lasttoken",
}

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
_KINDS = {
    "CrossEncoder": "a cross-encoder, which scores pairs of texts and makes no embeddings",
    "SparseEncoder": "a sparse encoder, whose vectors are over the vocabulary",
    "ColBERT": "a multi-vector encoder of PyLate; saved by sentence-transformers, it can be imported",
}


def read(folder: Path) -> SentencePipeline:
    """How a folder embeds; the default for one that does not say. Raises InvalidModel for what is not supported."""
    with as_invalid_model("the files of sentence-transformers cannot be read"):
        return _read(folder)


def _read(folder: Path) -> SentencePipeline:
    if (sparse := read_splade(folder)) is not None:
        return SentencePipeline(sparse=sparse, max_length=_longest(_transformer_config(folder)), **_settings(folder))
    if _is_multi_vector(folder):
        settings = _settings(folder) | {"settings": {}}  # the similarity function is part of the vectors of tokens
        return SentencePipeline(multi_vector=_multi_vector(folder), **_transformer(folder), **settings)
    check_kind(folder)
    if not (folder / "modules.json").is_file():
        return SentencePipeline(matryoshka=read_matryoshka(folder, {}))
    modules = read_modules(folder)
    options = _take_pooling(modules)
    head = [made for kind, path in modules if (made := _build(kind, path)) is not None]
    normalize = bool(head) and isinstance(head[-1], Normalize)
    options |= {"head": nn.Sequential(*(head[:-1] if normalize else head)), "normalize": normalize}
    return SentencePipeline(**options, **_transformer(folder), **_settings(folder))


def check(folder: Path) -> None:
    """Judges what `read` reads but for weights. Raises InvalidModel."""
    with as_invalid_model("the files of sentence-transformers cannot be read"):
        if is_cross_encoder(folder):
            _check_cross_encoder(folder)
            return
        if read_splade(folder) is not None:
            _longest(_transformer_config(folder))
            _settings(folder)
            return
        if _is_multi_vector(folder):
            _multi_vector(folder, weights=False)
            _transformer(folder)
            _settings(folder)
            return
        check_kind(folder)
        if (folder / "modules.json").is_file():
            modules = read_modules(folder)
            _take_pooling(modules)
            for kind, path in modules:
                _module_config(kind, path)
            _transformer(folder)
            _settings(folder)


def _take_pooling(modules: list[tuple[str, Path]]) -> dict[str, Any]:
    """SentencePipeline's part of the module Pooling, which is taken from the list; empty without one."""
    if modules[:1] and modules[0][0] == "Pooling":
        _, path = modules.pop(0)
        config = _read_object(path / "config.json")
        return {"pooling": _pooling(config), "include_prompt": config.get("include_prompt", True) is not False}
    return {}


def is_cross_encoder(folder: Path) -> bool:
    """Whether a folder is a classifier of pairs of texts, which is served by its head."""
    config = _read_object(folder / "config.json")
    return _classifies(config) and _find_kind(config, _read_object(folder / SETTINGS)) == "CrossEncoder"


def _check_cross_encoder(folder: Path) -> None:
    """Raises InvalidModel for a cross-encoder whose scores other modules compute."""
    if not (folder / "modules.json").is_file():
        return
    for each in read_json(folder / "modules.json"):
        kind = str(each["type"]).rpartition(".")[2]
        if kind != "Transformer":
            raise InvalidModel(f"the sentence-transformers module {kind} of a cross-encoder is not supported")


def _is_multi_vector(folder: Path) -> bool:
    return (folder / "modules.json").is_file() and _read_object(folder / SETTINGS).get("model_type") == KIND


def _multi_vector(folder: Path, *, weights: bool = True) -> MultiVector:
    """Raises InvalidModel."""
    modules = [(name, path, _read_object(path / "config.json")) for name, path in read_modules(folder, TOKEN_MODULES)]
    return read_multi_vector(modules, _transformer_config(folder), _read_object(folder / SETTINGS), weights=weights)


def check_kind(folder: Path) -> None:
    """Raises InvalidModel for a model of sentence-transformers that is not an encoder of dense embeddings."""
    kind = _find_kind(_read_object(folder / "config.json"), _read_object(folder / SETTINGS))
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


def read_modules(folder: Path, known: Sequence[str] = MODULES) -> list[tuple[str, Path]]:
    """The names and folders of the modules after the transformer, in their order. Raises InvalidModel.

    known: names of modules that the kind of model may have.
    """
    try:
        listed = [(str(each["type"]), str(each["path"])) for each in read_json(folder / "modules.json")]
    except (KeyError, TypeError) as error:
        raise InvalidModel("modules.json of the model folder is not a list of types and paths") from error
    found = []
    for place, (kind, path) in enumerate(listed):
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
    config = _read_object(folder / "config.json")
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


def _transformer(folder: Path) -> dict[str, Any]:
    """SentencePipeline's `max_length` and `lower_case`."""
    config = _transformer_config(folder)
    task = config.get("transformer_task", "feature-extraction")
    text = (config.get("modality_config") or {}).get("text") or {}
    output = text.get("method_output_name", "last_hidden_state")
    if task != "feature-extraction" or output != "last_hidden_state":
        raise InvalidModel(f"the sentence-transformers module Transformer for {task}, {output} is not supported")
    return {"max_length": _longest(config), "lower_case": config.get("do_lower_case") is True}


def _longest(config: Mapping[str, Any]) -> int | None:
    longest = config.get("max_seq_length")
    if longest is not None and (not isinstance(longest, int) or longest < 1):
        raise InvalidModel(f"max_seq_length is {longest!r}, which is not a number of tokens")
    return longest


def _transformer_config(folder: Path) -> dict[str, Any]:
    return next((found for name in _TRANSFORMER_CONFIGS if (found := _read_object(folder / name))), {})


def lower_cases(folder: Path) -> bool:
    """Whether texts are lower-cased before the folder's tokenizer reads them."""
    return (folder / "modules.json").is_file() and _transformer_config(folder).get("do_lower_case") is True


def _settings(folder: Path) -> dict[str, Any]:
    """SentencePipeline's part of config_sentence_transformers.json. Raises InvalidModel."""
    settings = _read_object(folder / SETTINGS)
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


def _read_object(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is no file. Raises InvalidModel."""
    if not path.is_file():
        return {}
    content = read_json(path)
    if not isinstance(content, dict):
        raise InvalidModel(f"{path.name} of the model folder is not a JSON object")
    return content
