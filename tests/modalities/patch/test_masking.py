import numpy as np
import pytest

from app.errors import InvalidValue
from app.modalities.patch.masking import (
    CLIP_SAMPLERS,
    SAMPLERS,
    SPECTROGRAM_SAMPLERS,
    count_masked,
    mask_blocks,
    mask_frames,
    mask_frequencies,
    mask_squares,
    mask_times,
    mask_times_and_frequencies,
    mask_tubes,
    sample,
)

ALL = SAMPLERS | SPECTROGRAM_SAMPLERS


@pytest.mark.parametrize("strategy", ALL)
@pytest.mark.parametrize("shape", [(14, 14), (8, 8), (5, 7), (3, 3), (64, 4), (1, 4)])
@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.75, 0.95])
def test_every_sampler_hides_exactly_the_count_and_follows_its_seed(
    strategy: str, shape: tuple[int, int], ratio: float
) -> None:
    count = count_masked(shape[0] * shape[1], ratio)
    masks = [ALL[strategy](shape, count, np.random.default_rng(seed)) for seed in (0, 0, 1, 2, 3, 4)]
    assert all(mask.shape == shape and mask.sum() == count for mask in masks)
    assert np.array_equal(masks[0], masks[1])
    if 1 < count < shape[0] * shape[1] - 1:
        assert len({mask.tobytes() for mask in masks}) > 1


def test_every_patch_is_masked_sooner_or_later() -> None:
    for sampler in ALL.values():
        rng = np.random.default_rng(0)
        shares = np.mean([sampler((8, 8), 32, rng) for _ in range(300)], axis=0)
        assert shares.min() > 0.1 and shares.max() < 0.9


def neighbours(mask: np.ndarray) -> float:
    """The share of masked patches whose right neighbour is masked, too."""
    return float((mask[:, :-1] & mask[:, 1:]).sum() / mask[:, :-1].sum())


def test_blocks_and_squares_hang_together() -> None:
    rng = np.random.default_rng(0)
    for sampler in (mask_blocks, mask_squares):
        assert np.mean([neighbours(sampler((14, 14), 78, rng)) for _ in range(50)]) > 0.55  # 0.4 by chance


def test_squares_are_aligned() -> None:
    mask = mask_squares((8, 8), 32, np.random.default_rng(0))
    assert np.array_equal(mask.reshape(4, 2, 4, 2).all((1, 3)), mask.reshape(4, 2, 4, 2).any((1, 3)))


def test_times_and_frequencies_are_masked_whole() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        times, frequencies = (s((20, 8), 80, rng) for s in (mask_times, mask_frequencies))
        assert times.all(1).sum() == 10 and frequencies.all(0).sum() == 4
        both = mask_times_and_frequencies((20, 20), 300, rng)
        rows, columns = both.all(1), both.all(0)
        assert (rows[:, None] | columns).sum() >= 300 - 19  # but for the last line, which is cut
    shares = np.mean([[m.all(1).mean(), m.all(0).mean()] for m in
                      (mask_times_and_frequencies((20, 20), 300, rng) for _ in range(200))], axis=0)  # fmt: skip
    assert np.allclose(shares, 0.5, atol=0.06)  # of each axis half, which leaves a quarter


def test_something_stays_visible() -> None:
    assert count_masked(16, 0.999) == 15
    assert count_masked(16, 0.001) == 1


@pytest.mark.parametrize(
    ("strategy", "ratio", "param"),
    [("rows", 0.5, "mask_strategy"), ("random", 0.0, "mask_ratio"), ("random", 1, "mask_ratio")],
)
def test_what_cannot_be_is_named(strategy: str, ratio: float, param: str) -> None:
    with pytest.raises(InvalidValue) as error:
        sample(SAMPLERS, strategy, (4, 4), ratio, np.random.default_rng(0))
    assert error.value.param == param


@pytest.mark.parametrize("strategy", CLIP_SAMPLERS)
@pytest.mark.parametrize("shape", [(8, 14, 14), (4, 8, 8), (2, 3, 5)])
@pytest.mark.parametrize("ratio", [0.01, 0.5, 0.9, 0.99])
def test_those_of_clips_hide_equally_many_each_time_and_near_the_count(
    strategy: str, shape: tuple[int, int, int], ratio: float
) -> None:
    count = count_masked(int(np.prod(shape)), ratio)
    masks = [CLIP_SAMPLERS[strategy](shape, count, np.random.default_rng(seed)) for seed in (0, 0, 1, 2, 3, 4)]
    assert len({int(mask.sum()) for mask in masks}) == 1 and masks[0].shape == shape
    assert np.array_equal(masks[0], masks[1]) and len({mask.tobytes() for mask in masks}) > 1
    assert masks[0].any() and not masks[0].all()
    unit = {"tube": shape[0], "random": 1, "frame": shape[1] * shape[2]}[strategy]
    assert abs(int(masks[0].sum()) - count) <= unit


def test_tubes_last_and_frames_are_whole() -> None:
    tubes = mask_tubes((8, 14, 14), round(0.9 * 1568), np.random.default_rng(0))
    assert (tubes == tubes[0]).all() and tubes[0].sum() == 176  # as VideoMAE's own code hides of 196
    frames = mask_frames((4, 8, 8), round(0.9 * 256), np.random.default_rng(0))
    assert sorted(frames.mean((1, 2))) == [0, 1, 1, 1]
    with pytest.raises(InvalidValue, match="cannot be masked by frames"):
        mask_frames((1, 8, 8), 32, np.random.default_rng(0))
