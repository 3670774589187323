"""A probe's answers equal those of scikit-learn's fitted models, whatever the encoder."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from app.errors import InvalidModel
from app.modalities import registry
from app.modalities.classification import ClassifyItem, ClassifyResult, score_labels
from app.modalities.embedding import EmbedItem
from app.modalities.probe import HEAD, ProbeHead, load_head
from app.types import Activation, Classifier, ClassifierType, Task
from tests.fakes.objective import make_head
from tests.fakes.perform import perform
from tests.fakes.tiny_models import CORPUS, tiny_bert_folder

TEXTS = [f"{text} {number}" for number in range(5) for text in CORPUS]


def classifier(*labels: str, **changes: object) -> Classifier:
    values = {"type": ClassifierType.SINGLE_LABEL, "activation": Activation.SOFTMAX}
    return Classifier(labels=labels, **{**values, **changes})


def test_a_folder_with_a_head_answers_as_scikit_learn(tmp_path: Path) -> None:
    folder = tiny_bert_folder(tmp_path / "model")
    embed = registry.load(folder).tasks[Task.EMBED]
    vectors = np.stack([each.vector for each in perform(embed, [EmbedItem(text, normalize=False) for text in TEXTS])])
    targets = np.arange(len(TEXTS)) % 3
    fitted = make_pipeline(StandardScaler(), LogisticRegression(C=1.0)).fit(vectors.astype(np.float64), targets)
    scaler, logistic = fitted[0], fitted[1]
    head = ProbeHead(classifier("a", "b", "c"), scaler.mean_, scaler.scale_, logistic.coef_, logistic.intercept_)
    head.save(folder / HEAD)

    served = registry.load(folder)
    assert served.classifier == head.classifier
    results = perform(served.tasks[Task.CLASSIFY], [ClassifyItem(text) for text in TEXTS])
    found = np.stack([score_labels(served.classifier, each.logits) for each in results])
    np.testing.assert_allclose(found, fitted.predict_proba(vectors.astype(np.float64)), atol=1e-5)


def test_the_temperature_divides_the_logits() -> None:
    logits = np.array([1.0, 3.0, 2.0])
    powers = np.exp(logits / 4)
    np.testing.assert_allclose(score_labels(classifier("a", "b", "c", temperature=4.0), logits), powers / powers.sum())


@pytest.mark.parametrize(
    ("changes", "best", "assigned", "ranked"),
    [
        ({}, "b", [], [("b", 0.4961), ("c", 0.4489)]),
        (
            {"type": ClassifierType.MULTI_LABEL, "activation": Activation.SIGMOID},
            "b",
            ["b", "c"],
            [("b", 0.5498), ("c", 0.5250)],
        ),
        ({"type": ClassifierType.REGRESSION, "activation": Activation.NONE}, None, [], [("a", -2.0), ("b", 0.2)]),
    ],
    ids=["single_label", "multi_label", "regression"],
)
def test_labels_by_type(
    changes: dict[str, object], best: str | None, assigned: list[str], ranked: list[tuple[str, float]]
) -> None:
    kind = classifier("a", "b", "c", **changes)
    result = ClassifyResult(np.array([-2.0, 0.2, 0.1]), kind, top_k=2, tokens=3)
    assert result.best_label() == best
    assert [(each.label, round(each.score, 4)) for each in result.rank()] == ranked
    if kind.type is ClassifierType.MULTI_LABEL:
        assert result.assigned_labels() == assigned


def test_equal_scores_are_ranked_by_their_logits() -> None:
    kind = classifier("a", "b", type=ClassifierType.MULTI_LABEL, activation=Activation.SIGMOID)
    result = ClassifyResult(np.array([40.0, 50.0]), kind, top_k=2, tokens=1)
    assert [each.label for each in result.rank()] == ["b", "a"] and result.best_label() == "b"


def test_large_logits_give_finite_probabilities() -> None:
    for activation in (Activation.SOFTMAX, Activation.SIGMOID):
        found = score_labels(classifier("a", "b"), np.array([1e5, -1e5]), activation)
        np.testing.assert_array_equal(found, [1.0, 0.0])


def test_a_head_is_read_as_it_was_written(tmp_path: Path) -> None:
    head = make_head(classifier("a", "ü", temperature=1.5, ece=0.02, labelled_items=60))
    head.save(tmp_path / HEAD)
    found = load_head(tmp_path / HEAD)
    assert found is not None and found.classifier == head.classifier
    np.testing.assert_array_equal(found.coefficients, head.coefficients)


def test_files_of_other_formats_are_not_heads(tmp_path: Path) -> None:
    assert load_head(tmp_path / HEAD) is None
    save_file({"weight": np.zeros(3)}, tmp_path / HEAD)
    assert load_head(tmp_path / HEAD) is None


@pytest.mark.parametrize("content", [b"", b"\0" * 64, b"{}"])
def test_a_broken_file_is_an_invalid_model(tmp_path: Path, content: bytes) -> None:
    (tmp_path / HEAD).write_bytes(content)
    with pytest.raises(InvalidModel, match=HEAD):
        load_head(tmp_path / HEAD)


def test_tensors_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    good = make_head(classifier("a", "b"))
    with pytest.raises(InvalidModel, match="coefficients"):
        ProbeHead(good.classifier, good.mean, good.scale, good.coefficients[:1], good.intercepts)
    with pytest.raises(InvalidModel, match="not finite"):
        ProbeHead(good.classifier, good.mean * np.nan, good.scale, good.coefficients, good.intercepts)
    with pytest.raises(InvalidModel, match="not above 0"):
        ProbeHead(good.classifier, good.mean, good.scale * 0, good.coefficients, good.intercepts)
    folder = tiny_bert_folder(tmp_path / "model")
    good.save(folder / HEAD)  # of vectors with other dimensions
    with pytest.raises(InvalidModel, match="dimensions"):
        registry.load(folder)
