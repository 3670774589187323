"""Classifiers of every architecture with such a head give what transformers gives, alone and in a batch."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification, AutoTokenizer
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES

from app.modalities.classification import ClassifyItem, TextPair, TokenOptions
from app.modalities.registry import load
from app.types import Task
from tests.conformance.text_types import TYPES, build_classifier
from tests.fakes.perform import perform
from tests.fakes.tiny_models import ARCHITECTURES

LABELS = ("a", "b", "c")
TEXTS = ["the lions chase the zebra in the savanna , again and again !", "water .", "the sun and the moon . " * 9]
# test_classifiers.py of the modality has the others, with their own tokenizers and transformers' pipelines.
SEQUENCE = sorted((set(TYPES) & MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES.keys()) - set(ARCHITECTURES))
# In the first four, padding changes results; the others read texts in ways of their own.
TOKENS = ("big_bird", "fnet", "mobilebert", "yoso", "funnel", "longformer", "luke", "xlm")


def expect(auto: Any, folder: Path, *texts: str) -> torch.Tensor:
    """Probabilities by transformers alone: [L] of a text or a pair, [tokens, L] of a text's tokens."""
    inputs = AutoTokenizer.from_pretrained(folder)(*texts, return_tensors="pt")
    with torch.inference_mode():
        return auto.from_pretrained(folder).eval()(**inputs).logits[0].softmax(-1)


@pytest.mark.parametrize("model_type", SEQUENCE)
def test_texts(model_type: str, tmp_path: Path) -> None:
    auto = AutoModelForSequenceClassification
    folder = build_classifier(tmp_path, model_type, auto, LABELS)
    handler = load(folder).tasks[Task.CLASSIFY]
    pair = TextPair(TEXTS[0], TEXTS[1])
    items = [ClassifyItem(each) for each in (*TEXTS, pair)]
    expected = [expect(auto, folder, text) for text in TEXTS] + [expect(auto, folder, pair.text, pair.text_pair)]
    for result, scores in zip(perform(handler, items), expected, strict=True):
        found = {each.label: each.score for each in result.rank()}
        assert [found[label] for label in LABELS] == pytest.approx(scores.tolist(), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("model_type", TOKENS)
def test_tokens(model_type: str, tmp_path: Path) -> None:
    auto = AutoModelForTokenClassification
    folder = build_classifier(tmp_path, model_type, auto, LABELS)
    handler = load(folder).tasks[Task.CLASSIFY]
    items = [ClassifyItem(text, tokens=TokenOptions(ignore_labels=())) for text in TEXTS]
    for text, result in zip(TEXTS, perform(handler, items), strict=True):
        scores = expect(auto, folder, text)[1:-1].max(-1)
        assert [each.label for each in result.entities] == [LABELS[i] for i in scores.indices]
        assert [each.score for each in result.entities] == pytest.approx(scores.values.tolist(), rel=1e-3, abs=1e-4)
