from itertools import islice

from app.training.data.order import Stream, generator, sample_order


def test_an_epoch_is_a_permutation_and_the_next_one_another() -> None:
    samples = list(islice(sample_order(10, seed=1, first=0), 20))
    assert [e for e, _ in samples] == [0] * 10 + [1] * 10
    first, second = ([r for e, r in samples if e == epoch] for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second


def test_starting_anywhere_continues_the_same_order() -> None:
    whole = list(islice(sample_order(7, seed=5, first=0), 30))
    for first in range(30):
        assert list(islice(sample_order(7, seed=5, first=first), 30 - first)) == whole[first:]


def test_streams_and_keys_do_not_share_numbers() -> None:
    keys = [(0, Stream.MASK, 0, 1), (0, Stream.MASK, 1, 0), (1, Stream.MASK, 0, 1), (0, Stream.ORDER, 0, 1)]
    assert len({generator(*key).integers(1 << 62) for key in keys}) == 4
    assert generator(*keys[0]).integers(1 << 62) == generator(*keys[0]).integers(1 << 62)
