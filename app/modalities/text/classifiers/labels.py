"""The labels of a classifier and the meaning of its outputs, as config.json states them."""

from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedConfig

from app.errors import InvalidModel
from app.types import Activation, Classifier, ClassifierType

# `problem_type` of config.json → the meaning of the outputs.
_PROBLEMS = {
    "regression": (ClassifierType.REGRESSION, Activation.NONE),
    "multi_label_classification": (ClassifierType.MULTI_LABEL, Activation.SIGMOID),
    "single_label_classification": (ClassifierType.SINGLE_LABEL, Activation.SOFTMAX),
}


def find_classifier(config: PreTrainedConfig, *, of_tokens: bool) -> Classifier:
    """Returns the facts about a classifier, by the rules of transformers' pipelines. Raises InvalidModel."""
    names: Mapping[Any, str] = config.id2label or {}
    labels = tuple(str(names[number]) for number in range(len(names)) if number in names)
    if not labels or len(labels) != len(names):
        raise InvalidModel("id2label in config.json does not number its labels from 0 on")
    if of_tokens:
        return Classifier(labels=labels, type=ClassifierType.TOKENS, activation=Activation.SOFTMAX)
    problem = config.problem_type
    if problem is not None and problem not in _PROBLEMS:
        raise InvalidModel(f"problem_type in config.json is {problem!r}; it may be {', '.join(_PROBLEMS)}")
    if problem != "regression" and len(labels) == 1:  # one probability, of a label that applies or does not
        problem = "multi_label_classification"
    type_, activation = _PROBLEMS[problem or "single_label_classification"]
    return Classifier(labels=labels, type=type_, activation=activation)
