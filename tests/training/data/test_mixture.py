from collections import Counter
from itertools import islice

import pytest

from app.training.data.mixture import Mixture, count_indices


class Numbers:
    def __init__(self, first: int, count: int) -> None:
        self.first, self.count, self.tokens = first, count, count * 10

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> int:
        assert 0 <= index < self.count
        return self.first + index


@pytest.fixture
def mixture() -> Mixture:
    return Mixture([Numbers(0, 10), Numbers(100, 6), Numbers(200, 0), Numbers(300, 5)], [2.0, 0.5, 1.0, 1.0])


def test_an_epoch_has_each_part_by_its_weight(mixture: Mixture) -> None:
    assert (mixture.quotas, len(mixture), mixture.tokens) == ([20, 3, 0, 5], 28, 280)
    seen = [mixture[i] for _, i in islice(mixture.order(1, 0), 28)]
    counts = Counter(seen)
    assert all(counts[n] == 2 for n in range(10)) and all(counts[n] == 1 for n in range(300, 305))
    assert sum(100 <= n < 106 for n in seen) == 3
    assert seen != sorted(seen)


def test_a_part_seen_in_halves_is_seen_whole_in_two_epochs(mixture: Mixture) -> None:
    seen = Counter(mixture[i] for _, i in islice(mixture.order(1, 0), 56))
    assert all(seen[n] == 1 for n in range(100, 106))


def test_no_sample_comes_twice_in_the_same_pass(mixture: Mixture) -> None:
    taken = list(islice(mixture.order(1, 0), 300))
    assert len(set(taken)) == 300


def test_starting_anywhere_continues_the_same_order(mixture: Mixture) -> None:
    whole = list(islice(mixture.order(5, 0), 90))
    for first in range(90):
        assert list(islice(mixture.order(5, first), 90 - first)) == whole[first:]
    assert list(islice(mixture.order(6, 0), 90)) != whole


def test_what_is_there_is_seen_however_small_its_weight() -> None:
    assert Mixture([Numbers(0, 3)], [0.01]).quotas == [1]


def test_every_index_has_a_sample_whatever_the_weights(mixture: Mixture) -> None:
    assert count_indices(mixture) == 21 < len(mixture)
    assert [mixture[index] for index in (0, 20)] == [0, 304]
