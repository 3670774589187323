"""Learners on features, in cases that real data have."""

import tracemalloc

import numpy as np
import pytest
from scipy.sparse import csr_matrix, random_array
from sklearn.linear_model import LogisticRegression, Ridge

from app.evaluation.baselines import count_baseline
from app.evaluation.metrics import score_numbers
from app.evaluation.probes import (
    PENALTIES,
    STRENGTHS,
    choose_penalty,
    choose_strength,
    classify_by_neighbours,
    classify_linearly,
    find_clusters,
    reduce_features,
    regress_by_neighbours,
    regress_linearly,
)

RNG = np.random.default_rng(0)
CENTRES = RNG.normal(size=(3, 40)) * 2
TARGETS = np.arange(30) % 3
FEATURES = CENTRES[TARGETS] + RNG.normal(size=(30, 40))
TEST = CENTRES[TARGETS] + RNG.normal(size=(30, 40))


@pytest.mark.parametrize("sparse", [False, True])
def test_reduced_features_give_the_same_predictions(sparse: bool) -> None:
    train, test = (csr_matrix(each) if sparse else each for each in (FEATURES, TEST))
    small, asked = reduce_features(train, test)
    assert small.shape[1] <= 30
    options = {"C": 0.1, "tol": 1e-8, "max_iter": 5000}
    expected = LogisticRegression(**options).fit(FEATURES, TARGETS).predict_proba(TEST)
    assert LogisticRegression(**options).fit(small, TARGETS).predict_proba(asked) == pytest.approx(expected, abs=1e-4)


def test_learners_find_what_is_plain() -> None:
    for learner in (classify_linearly, classify_by_neighbours):
        assert (learner(FEATURES, TARGETS, TEST, 0).values == TARGETS).mean() > 0.9
    clusters = find_clusters(FEATURES.astype(np.float32), 3, 0)
    assert len(np.unique(clusters[TARGETS == 0])) == 1


@pytest.mark.parametrize("items", [2, 3, 5])
def test_few_labels_and_rare_classes_are_enough(items: int) -> None:
    """One item of each class, a class with one item beside others, and items that are all equal."""
    targets = np.array([0, 1, 0, 0, 1])[:items]
    for features in (FEATURES[:items], np.ones((items, 40)), np.zeros((items, 40))):
        assert len(classify_linearly(features, targets, TEST, 0).values) == 30
        assert len(classify_by_neighbours(features + 1e-3, targets, TEST, 0).values) == 30
    assert choose_strength(FEATURES[:2], TARGETS[:2], 0) in STRENGTHS


def test_many_classes_with_two_items_each() -> None:
    targets = np.arange(1200) % 600
    features = RNG.normal(size=(1200, 4))
    assert choose_strength(features, targets, 0) in STRENGTHS


def test_numbers_are_predicted() -> None:
    numbers = FEATURES[:, 0] * 3 + 1
    for learner in (regress_linearly, regress_by_neighbours):
        prediction = learner(FEATURES, numbers, FEATURES, 0)
        assert score_numbers(numbers, prediction)["spearman"] > 0.9
    assert score_numbers(numbers, regress_linearly(FEATURES, np.ones(30), FEATURES, 0))["spearman"] == 0.0


def test_a_regression_on_many_sparse_items_needs_no_memory_of_their_square() -> None:
    items, dimensions = 4_000, 6_000
    features = csr_matrix(random_array((items, dimensions), density=0.002, rng=np.random.default_rng(0)))
    numbers = features @ np.random.default_rng(1).normal(size=dimensions)
    tracemalloc.start()
    prediction = regress_linearly(features[1000:], numbers[1000:], features[:1000], 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < items**2  # one byte for each pair; the products would be eight
    assert score_numbers(numbers[:1000], prediction)["spearman"] > 0.5
    assert prediction.strength in PENALTIES
    alone = Ridge(alpha=prediction.strength).fit(features[1000:], numbers[1000:]).predict(features[:1000])
    assert prediction.values == pytest.approx(alone, abs=1e-2)


def test_the_penalty_fits_the_noise() -> None:
    rng = np.random.default_rng(0)
    features, weights = rng.normal(size=(1_000, 50)), rng.normal(size=50)
    clean, noise = features @ weights, rng.normal(size=1_000) * 500
    assert choose_penalty(features, clean, 0) < 1 < choose_penalty(features, noise, 0)


def test_most_texts_decide_whether_words_or_letters_are_counted() -> None:
    sequences = ["MKVLAAGIT"] * 999
    assert count_baseline([*sequences, "MK VLA"]).name == "counts of 1- to 3-mers"
    assert count_baseline(["a word of two", "another one", "single"]).name == "TF-IDF"
