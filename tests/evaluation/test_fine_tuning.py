"""Fine-tuning learns, is deterministic and kept, and follows its budget."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.evaluation.embedding import Embedder, EmbeddingRequest, EngineOptions, make_item
from app.evaluation.metrics import score_numbers
from app.evaluation.run import EvaluationPlan, evaluate
from app.evaluation.summary import summarize_findings
from app.evaluation.tuned_runs import TunedRuns
from app.evaluation.tuning_budget import BATCH, DEFAULT_RATE, RATES, TuningBudget, cut_labels, order_items
from app.media.audio import encode_wav
from app.media.images import encode_png
from app.store.store import ModelStore
from app.training.hooks import Stopped
from tests.evaluation.test_run import Recorder, make_data
from tests.fakes.imports import import_folder
from tests.fakes.tiny_images import tiny_image_folder
from tests.fakes.tiny_models import tiny_bert_folder
from tests.fakes.tiny_waveforms import RATE, tiny_wav2vec2_folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    root = tmp_path_factory.mktemp("store")
    store = ModelStore(root / "models")
    import_folder(store, tiny_bert_folder(root / "tiny"), "tiny")
    import_folder(store, tiny_image_folder(root / "picture"), "picture")
    import_folder(store, tiny_wav2vec2_folder(root / "sound"), "sound")
    return store


DATA = make_data(60)
TEXTS: list[Any] = [item.content for item in DATA.items]
PICTURE = encode_png(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
SHORT = TuningBudget(fewest_steps=50)
FEW, TRAIN, TEST = np.arange(2), np.arange(20), np.arange(20, 60)


def make_runs(store: ModelStore, cache: Path, shares: list[float] | None = None, **options: Any) -> TunedRuns:
    told: list[float] = [] if shares is None else shares
    options = {
        "contents": TEXTS,
        "random_weights": False,
        "has_classes": True,
        "budget": SHORT,
        "model": store.resolve("tiny"),
    } | options
    options.setdefault("on_share", told.append)
    return TunedRuns(Embedder(store, cache), **options)


@pytest.mark.parametrize("random_weights", [False, True])
def test_a_network_learns_labels_and_a_run_is_done_once(
    store: ModelStore, tmp_path: Path, random_weights: bool
) -> None:
    shares: list[float] = []
    runs = make_runs(store, tmp_path / "a", shares, random_weights=random_weights)
    found = runs.learn(TRAIN, DATA.targets[TRAIN], TEST, 0)
    assert (found.values == DATA.targets[TEST]).mean() > 0.8
    assert found.strength in RATES
    assert found.scores is not None and ((found.scores > 0.5) == found.values).all()
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1)

    shares.clear()
    again = make_runs(store, tmp_path / "a", shares, random_weights=random_weights)
    kept = again.learn(TRAIN, DATA.targets[TRAIN], TEST, 0)
    assert not shares
    assert kept.strength == found.strength
    assert np.array_equal(kept.values, found.values) and np.array_equal(kept.scores, found.scores)


def test_each_run_begins_with_the_same_weights(store: ModelStore, tmp_path: Path) -> None:
    runs = make_runs(store, tmp_path / "a")
    runs.learn(FEW + 2, DATA.targets[FEW + 2], TEST, 0)
    second = runs.learn(FEW, DATA.targets[FEW], TEST, 1)
    first = make_runs(store, tmp_path / "b").learn(FEW, DATA.targets[FEW], TEST, 1)
    assert first.strength == DEFAULT_RATE  # nothing can be left out
    assert np.array_equal(first.scores, second.scores)


def test_a_run_can_be_stopped(store: ModelStore, tmp_path: Path) -> None:
    asked: list[float] = []

    def stop(share: float) -> None:
        asked.append(share)
        if len(asked) == 3:
            raise Stopped("pause")

    runs = make_runs(store, tmp_path, on_share=stop)
    with pytest.raises(Stopped):
        runs.learn(FEW, DATA.targets[FEW], TEST, 0)
    assert len(asked) == 3
    assert len(runs.learn(FEW, DATA.targets[FEW], TEST, 0).values) == 40


def test_equal_items_with_two_labels_are_not_told_apart(store: ModelStore, tmp_path: Path) -> None:
    """Their vectors have no deviation, which must not make small changes of the weights large."""
    texts, few = ["the same words"] * 2 + TEXTS[:4], TuningBudget(fewest_steps=5)
    found = make_runs(store, tmp_path, contents=texts, budget=few).learn(FEW, np.arange(2), np.arange(6), 0)
    assert found.scores == pytest.approx(np.full(6, 0.5), abs=0.2)


def test_numbers_are_learnt(store: ModelStore, tmp_path: Path) -> None:
    texts = [f"The {'very ' * (n % 10)}lazy dog" for n in range(40)]
    targets = np.array([float(n % 10) * 100 + 50 for n in range(40)])
    runs = make_runs(store, tmp_path, contents=texts, has_classes=False)
    found = runs.learn(np.arange(20), targets[:20], np.arange(20, 40), 0)
    assert found.scores is None
    assert score_numbers(targets[20:], found)["spearman"] > 0.8
    assert 0 < found.values.mean() < 1000


def test_pictures_are_learnt(store: ModelStore, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    targets = np.arange(24) % 2
    pictures = [
        encode_png(rng.integers(128 * code, 128 * code + 128, (32, 32, 3), dtype=np.uint8)) for code in targets.tolist()
    ]
    runs = make_runs(store, tmp_path, contents=pictures, model=store.resolve("picture"), random_weights=True)
    found = runs.learn(np.arange(8), targets[:8], np.arange(8, 24), 0)
    assert (found.values == targets[8:]).mean() > 0.9


def test_steps_follow_the_number_of_labels() -> None:
    assert [TuningBudget().count_steps(labels) for labels in (2, 80, 240, 480, 100_000)] == [100, 100, 300, 600, 600]
    assert TuningBudget().measure_run(np.array([0, 1]), 10, has_classes=True) == 3 * 2 * 100 + 10
    trials = len(RATES) * (3 * BATCH * 50 + 4)
    assert TuningBudget().measure_run(np.arange(20) % 2, 10, has_classes=True) == 3 * BATCH * 100 + 10 + trials


def test_batches_have_the_classes_in_their_shares() -> None:
    targets = np.repeat([0, 1], [24, 8])
    order = order_items(targets, 0, has_classes=True)
    first = [next(order) for _ in range(32)]
    assert sorted(first) == list(range(32))
    assert all(targets[first[start : start + 8]].sum() == 2 for start in range(0, 32, 8))
    cut = cut_labels(targets, 0, has_classes=True)
    assert cut is not None
    fitted, left_out = cut
    assert sorted([*fitted, *left_out]) == list(range(32)) and np.bincount(targets[left_out]).tolist() == [5, 1]
    assert cut_labels(np.repeat([0, 1], [24, 4]), 0, has_classes=True) is None


def test_a_plan_may_train_the_whole_network(store: ModelStore, tmp_path: Path) -> None:
    methods, short = ("fine_tune", "from_scratch"), TuningBudget(fewest_steps=5)
    hooks, plan = Recorder(), EvaluationPlan([store.resolve("tiny")], methods, [1, 2], seeds=1, budget=short)
    findings = evaluate(plan, DATA, None, Embedder(store, tmp_path), hooks).findings
    found = [(result.method, result.labels_per_class, len(result.runs)) for result in findings.results]
    assert found == [("fine_tune", 1, 1), ("fine_tune", 2, 1), ("from_scratch", 1, 1), ("from_scratch", 2, 1)]
    assert hooks.shares == sorted(hooks.shares) and hooks.shares[-1] == pytest.approx(1)
    assert not hooks.vectors
    assert summarize_findings(findings).sentences[0].startswith("With 2 labels per class, fine-tuned tiny@1 reaches")


SOUNDS = [encode_wav(np.sin(np.arange(size) / 9).astype(np.float32), RATE) for size in (RATE // 2, RATE)]


@pytest.mark.parametrize(("model", "contents"), [("tiny", TEXTS[:9]), ("picture", [PICTURE] * 2), ("sound", SOUNDS)])
def test_vectors_that_are_trained_are_those_that_are_served(
    store: ModelStore, tmp_path: Path, model: str, contents: list[Any]
) -> None:
    embedder = Embedder(store, tmp_path, EngineOptions(dtype="float32"))
    request = EmbeddingRequest(store.resolve(model), contents, ["a place"] * len(contents))
    expected = embedder.embed(request, lambda done: None)
    handler: Any = embedder.load_handler(request.model)
    found = handler.compute_vectors([handler.prepare(make_item(content)) for content in contents])
    assert found.requires_grad
    assert found.detach().numpy() == pytest.approx(expected, abs=1e-4)
