"""The predictors that a model of text has to beat, against sums over the whole vocabulary."""

import math

import numpy as np
import pytest

from app.modalities.text.ngrams import NOTHING, Blank, NgramCounts, Ngrams, find_blanks, fit, score

SIZE, SPECIAL = 12, 2
ORDINARY = np.arange(SIZE) >= SPECIAL


def segments(seed: int, count: int = 40) -> list[np.ndarray]:
    """Chains in which a token is often followed by the next one, between special tokens 0 and 1."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(count):
        chain = [int(rng.integers(SPECIAL, SIZE))]
        while len(chain) < 9:
            following = SPECIAL + (chain[-1] - SPECIAL + 1) % (SIZE - SPECIAL)
            chain.append(following if rng.random() < 0.8 else int(rng.integers(SPECIAL, SIZE)))
        found.append(np.array([0, *chain, 1]))
    return found


def dense(parts: list[np.ndarray], blank: Blank, strength: float) -> np.ndarray:
    """p(t | left, right) of every token, by definition. [V]"""
    flat = np.concatenate(parts)
    every = (np.bincount(flat, minlength=SIZE) + 1) / (len(flat) + SIZE)
    own = np.where(ORDINARY, np.bincount(flat, minlength=SIZE) + 1, 0)
    unigram = own / own.sum()
    pairs = np.zeros((SIZE, SIZE))
    for part in parts:
        np.add.at(pairs, (part[:-1], part[1:]), 1)
    first = strength * unigram + (np.where(ORDINARY, pairs[blank.left], 0) if blank.left != NOTHING else 0)
    second = np.ones(SIZE)
    if blank.right != NOTHING:
        second = (pairs[:, blank.right] + strength * every[blank.right]) / (pairs.sum(1) + strength)
    product = np.where(ORDINARY, first * second, 0)
    return product / product.sum()


@pytest.mark.parametrize("strength", [0.5, 30.0])
@pytest.mark.parametrize("left", [NOTHING, 0, 4, 11])
@pytest.mark.parametrize("right", [NOTHING, 1, 6, 2])
def test_a_bigram_is_a_chain_of_first_order(left: int, right: int, strength: float) -> None:
    parts = segments(0, 6)  # so few that some pairs are missing
    found = Ngrams(NgramCounts(parts, ORDINARY), strength)
    for label in range(SPECIAL, SIZE):
        blank = Blank(label, left, right, (label * 5) % SIZE or NOTHING)
        expected, said = dense(parts, blank, strength), found.bigram(blank)
        assert said.label == pytest.approx(expected[label])
        assert said.top == pytest.approx(expected.max()) and said.top == pytest.approx(expected[said.likeliest])
        if blank.shown != NOTHING and ORDINARY[blank.shown]:
            assert said.shown == pytest.approx(expected[blank.shown])


def test_context_that_tells_something_beats_frequencies() -> None:
    fitted = fit(segments(1, 300), ORDINARY)
    blanks = [
        Blank(int(s[i]), int(s[i - 1]), int(s[i + 1]), NOTHING) for s in segments(2) for i in range(1, len(s) - 1)
    ]
    found = {name: each.loss / each.count for name, each in score(fitted, blanks, kept=0.1, swapped=0.1).items()}
    assert found["bigram"] < 0.6 * found["unigram"]
    assert found["unigram"] == pytest.approx(math.log(SIZE - SPECIAL), abs=0.1)  # they are about equally frequent


def test_commonest_is_always_the_same_token() -> None:
    parts = [np.array([0, 2, 2, 2, 3, 1])]
    found = score(
        Ngrams(NgramCounts(parts, ORDINARY), 1.0), [Blank(2, 0, 2, NOTHING), Blank(5, 2, 3, 5)], kept=0.1, swapped=0.1
    )
    often = 4 / 14  # three times and once for smoothing, of four tokens and ten entries
    assert found["commonest"].correct == 1
    assert found["commonest"].loss == pytest.approx(-math.log(often) - math.log((1 - often) / 9))


def test_a_token_that_is_shown_counts_by_the_chance_that_it_stayed() -> None:
    parts = [np.array([0, 2, 2, 2, 3, 1])]
    ngrams = Ngrams(NgramCounts(parts, ORDINARY), 1.0)
    stayed, swapped = Blank(3, 0, 2, 3), Blank(2, 0, 2, 3)
    p3, p2, random = 2 / 14, 4 / 14, 0.1 / 10
    total = 0.1 * p3 + random
    found = score(ngrams, [stayed, swapped], kept=0.1, swapped=0.1)["unigram"]
    assert found.loss == pytest.approx(-math.log(p3 * (0.1 + random) / total) - math.log(p2 * random / total))
    assert found.correct == 1
    assert score(ngrams, [stayed], kept=0.0, swapped=0.2)["unigram"].loss == pytest.approx(-math.log(p3))


def test_a_single_segment_is_enough() -> None:
    fitted = fit([np.array([0, 5, 1])], ORDINARY)
    assert score(fitted, [Blank(5, 0, 1, NOTHING)], kept=0.1, swapped=0.1)["bigram"].count == 1


def test_neighbours_are_those_that_the_model_sees_in_the_same_segment() -> None:
    mask, ids = 1, np.array([0, 5, 6, 7, 8, 9])
    seen = np.array([0, mask, 6, mask, 4, mask])
    chosen = np.array([False, True, False, True, True, True])
    assert list(find_blanks(ids, seen, chosen, (3, 3), mask)) == [
        Blank(5, 0, 6, NOTHING),
        Blank(7, NOTHING, 4, NOTHING),
        Blank(8, NOTHING, NOTHING, 4),
        Blank(9, 4, NOTHING, NOTHING),
    ]
