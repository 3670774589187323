"""A folder of a text model → what it is served as: a classifier, or a model that embeds and fills masks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES,
)

from app.modalities.model_files import read_config, read_json
from app.modalities.probe import HEAD, load_head
from app.modalities.served_model import ServedModel
from app.modalities.text import TEXT
from app.modalities.text.classifiers.cross_encoder import find_comparison
from app.modalities.text.classifiers.forward import ClassifierForward, reads_types
from app.modalities.text.classifiers.labels import find_classifier
from app.modalities.text.classifiers.model import ClassifierParts, TextClassifier
from app.modalities.text.classifiers.proof import prove_classifier
from app.modalities.text.classifiers.reader import ClassifierReader
from app.modalities.text.encoder import vocabulary_size
from app.modalities.text.encoding import TextEncoder
from app.modalities.text.load import KIND, check_tokenizer, find_ordinary, load_text, load_tokenizer, recorded_path
from app.modalities.text.objective import longest_text, pad_token
from app.modalities.text.pipeline import SentencePipeline
from app.modalities.text.proof import gives_hidden_states
from app.modalities.text.weights import AutoClass, load_weights
from app.types import Task


@dataclass(frozen=True)
class HeadKind:
    """A kind of classification head. suffix: of its classes in config.json. types: the architectures that have it."""

    suffix: str
    auto: AutoClass
    types: Mapping[str, Any]
    of_tokens: bool


_KINDS = (
    HeadKind(
        "ForSequenceClassification",
        AutoModelForSequenceClassification,
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
        of_tokens=False,
    ),
    HeadKind(
        "ForTokenClassification",
        AutoModelForTokenClassification,
        MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES,
        of_tokens=True,
    ),
)


def load_served(folder: Path, *, dtype: torch.dtype = torch.float32) -> ServedModel:
    """Loads a folder as a classifier where config.json names one, else as `load_text` does.

    A classifier without the weights of its head embeds only. Raises InvalidModel.
    """
    kind = _find_kind(folder)
    if kind is None:
        return load_text(folder, dtype=dtype)
    config = read_config(folder, TEXT.model_types, KIND)
    check_tokenizer(folder)
    model_type = config["model_type"]
    if model_type in kind.types:
        model, headless = load_weights(folder, dtype, config, kind.auto, "classification head")
        if not headless:
            return TextClassifier(_prove_parts(folder, model.eval(), load_tokenizer(folder), kind))
    else:
        headless = f"transformers has no class {kind.suffix} of {model_type!r}"
    served = load_text(folder, dtype=dtype)
    served.unsupported = {**served.unsupported, Task.CLASSIFY: headless}
    return served


def _find_kind(folder: Path) -> HeadKind | None:
    """Returns the kind of head that config.json names; None for other models, and for those that a probe reads.

    Models that were stored before their heads were served are what their manifest says.
    """
    if load_head(folder / HEAD) is not None:
        return None
    if (folder / "manifest.json").is_file() and Task.CLASSIFY not in _recorded_tasks(folder):
        return None
    config = read_json(folder / "config.json")
    named = config.get("architectures") if isinstance(config, dict) else None
    names = [name for name in named if isinstance(name, str)] if isinstance(named, list) else []
    return next((kind for kind in _KINDS if any(name.endswith(kind.suffix) for name in names)), None)


def _recorded_tasks(folder: Path) -> list[Any]:
    """Returns the tasks in the manifest of a stored model."""
    tasks = read_json(folder / "manifest.json").get("tasks")
    return tasks if isinstance(tasks, list) else []


def _prove_parts(
    folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, kind: HeadKind
) -> ClassifierParts:
    """Raises InvalidModel for a model that gives wrong results, or a tokenizer that is not the model's."""
    model.config.return_dict = True
    pad_id, ordinary = pad_token(model, tokenizer), find_ordinary(model, tokenizer)
    reader = ClassifierReader(
        TextEncoder(tokenizer), max_length=longest_text(model, tokenizer), vocabulary=vocabulary_size(model)
    )
    classifier = find_classifier(model.config, of_tokens=kind.of_tokens)
    typed = reads_types(model, tokenizer.model_input_names)
    path = recorded_path(folder) or prove_classifier(
        model,
        reader,
        pad_id,
        ordinary,
        labels=len(classifier.labels),
        of_tokens=kind.of_tokens,
        reads_types=typed,
    )
    forward = ClassifierForward(model, path, pad_id, reads_types=typed)
    stored = (folder / "manifest.json").is_file()
    embeds = (
        Task.EMBED in _recorded_tasks(folder)
        if stored
        else gives_hidden_states(model, path, pad_id, ordinary, reader.max_length)
    )
    pipeline = SentencePipeline() if embeds else None
    return ClassifierParts(
        model, tokenizer, reader, forward, classifier, find_comparison(folder, model.config, classifier), pipeline
    )
