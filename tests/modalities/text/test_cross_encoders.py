"""Cross-encoders against sentence-transformers' CrossEncoder."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder

from app.errors import InvalidModel
from app.modalities.classification import ClassifyItem, TextPair, score_labels
from app.modalities.text import TEXT
from app.types import Activation, CompareMethod, Task
from tests.fakes.perform import perform
from tests.fakes.tiny_models import CORPUS, tiny_classifier_folder

QUERY = "Where do the lions live?"
LONG = " ".join(CORPUS)  # longer than the model reads, so that the longer text of the pair is truncated


@pytest.mark.parametrize("architecture", ["bert", "roberta", "modernbert"])
@pytest.mark.parametrize("activation", [torch.nn.Sigmoid(), torch.nn.Identity()])
def test_scores_are_those_of_sentence_transformers(
    architecture: str, activation: torch.nn.Module, tmp_path: Path
) -> None:
    plain = tiny_classifier_folder(tmp_path / "plain", architecture, labels=("relevant",))
    theirs = CrossEncoder(str(plain), activation_fn=activation)
    theirs.save_pretrained(str(tmp_path / "saved"))
    pairs = [(QUERY, text) for text in (*CORPUS[:3], LONG)] + [(LONG, QUERY)]
    expected = theirs.predict(pairs)

    TEXT.check_folder(tmp_path / "saved")
    model: Any = TEXT.load(tmp_path / "saved", dtype=torch.float32)
    assert model.comparison.method is CompareMethod.CROSS_ENCODER
    items = [ClassifyItem(TextPair(*pair), top_k=1, truncate=True) for pair in pairs]
    results = perform(model.tasks[Task.CLASSIFY], items)
    found = [score_labels(model.classifier, each.logits, model.comparison.activation)[0] for each in results]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_an_activation_that_is_not_known(tmp_path: Path) -> None:
    plain = tiny_classifier_folder(tmp_path / "plain", labels=("relevant",))
    CrossEncoder(str(plain), activation_fn=torch.nn.Tanh()).save_pretrained(str(tmp_path / "saved"))
    model: Any = TEXT.load(tmp_path / "saved", dtype=torch.float32)
    assert model.comparison.method is CompareMethod.EMBEDDING
    assert model.classifier.activation is Activation.SIGMOID


def test_further_modules_are_refused(tmp_path: Path) -> None:
    plain = tiny_classifier_folder(tmp_path / "plain", labels=("relevant",))
    (plain / "modules.json").write_text('[{"type": "sentence_transformers.base.modules.Dense", "path": "1"}]')
    with pytest.raises(InvalidModel, match="Dense of a cross-encoder"):
        TEXT.check_folder(plain)
