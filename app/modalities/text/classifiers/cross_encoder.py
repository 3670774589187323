"""Whether a classifier is a cross-encoder and how its output becomes a score, as sentence-transformers does it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformers import PreTrainedConfig

from app.modalities.comparison import InputComparison
from app.modalities.model_files import read_json
from app.modalities.text.sentence_files import SETTINGS
from app.types import Activation, Classifier, ClassifierType, CompareMethod

# The last word of the dotted path of a torch module.
_ACTIVATIONS = {"Sigmoid": Activation.SIGMOID, "Identity": Activation.NONE}


def find_comparison(folder: Path, config: PreTrainedConfig, classifier: Classifier) -> InputComparison:
    """Returns how a classifier compares two texts: with one output, by that for both texts together.

    The activation is the one that the folder names, and else the sigmoid. A classifier with another activation, or
    with several outputs, compares the embeddings of its encoder.
    """
    if len(classifier.labels) > 1 or classifier.type is ClassifierType.TOKENS:
        return InputComparison()
    named = next((str(name) for name in _named_activations(folder, config) if name), "torch.nn.Sigmoid")
    activation = _ACTIVATIONS.get(named.rpartition(".")[2]) if named.startswith("torch.nn.") else Activation.SIGMOID
    return InputComparison(CompareMethod.CROSS_ENCODER, activation=activation) if activation else InputComparison()


def _named_activations(folder: Path, config: PreTrainedConfig) -> Iterator[Any]:
    """Yields the names of activations in the files of sentence-transformers: the newest kind of file first."""
    for settings in (
        read_json(folder / SETTINGS) if (folder / SETTINGS).is_file() else {},
        getattr(config, "sentence_transformers", None),
    ):
        yield settings.get("activation_fn") if isinstance(settings, dict) else None
    yield getattr(config, "sbert_ce_default_activation_function", None)
