"""The random parts of a wav2vec 2.0 sample."""

import numpy as np
import pytest

from app.modalities.audio.crops import MIN_FRAMES, crop_length, draw_negatives, draw_spans, longest_crop
from app.modalities.audio.frames import ConvolutionFrames

BASE = ConvolutionFrames((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_frames_are_those_of_the_published_model() -> None:
    assert (BASE.stride, BASE.samples(1), BASE.count(400), BASE.count(399)) == (320, 400, 1, 0)
    assert BASE.count(16_000) == 49
    assert all(BASE.count(BASE.samples(n)) == n and BASE.count(BASE.samples(n) - 1) == n - 1 for n in range(1, 50))


def test_crops_fit_into_their_sound_and_lose_less_than_a_third() -> None:
    longest = 80_000
    lengths = {n: crop_length(n, longest) for n in range(1_000, 200_000, 777)}
    assert all(crop <= min(n, longest) for n, crop in lengths.items())
    assert all(crop > 0.7 * min(n, longest) for n, crop in lengths.items())
    assert crop_length(longest, longest) == crop_length(5 * longest, longest) == longest
    assert len(set(lengths.values())) <= 15  # few lengths make large batches


def test_the_longest_crop_has_frames_to_mask() -> None:
    assert longest_crop(5.0, 16_000, BASE) == 80_000
    assert longest_crop(0.1, 1_000, BASE) == BASE.samples(MIN_FRAMES)


@pytest.mark.parametrize("prob", [0.01, 0.3, 0.65, 0.99])
@pytest.mark.parametrize("length", [1, 2, 10, 300])
@pytest.mark.parametrize("frames", [MIN_FRAMES, 5, 9, 10, 21, 249])
def test_spans_leave_something_to_tell_apart_and_something_to_see(frames: int, length: int, prob: float) -> None:
    for seed in range(20):
        mask = draw_spans(frames, prob, length, rng(seed))
        assert mask.shape == (frames,) and mask.dtype == bool
        assert 2 <= mask.sum() < frames
        assert min(run_lengths(mask)) >= min(length, frames // 2)


def run_lengths(mask: np.ndarray) -> np.ndarray:
    """The lengths of the runs of masked frames."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
    return edges[1::2] - edges[::2]


def test_about_half_of_the_frames_are_masked_as_in_the_paper() -> None:
    share = np.mean([draw_spans(500, 0.65, 10, rng(seed)).mean() for seed in range(200)])
    assert share == pytest.approx(1 - np.exp(-0.65), abs=0.02)  # overlapping spans of 65 % cover 1 − e^−0.65


def test_every_frame_is_masked_sometimes() -> None:
    counts = np.sum([draw_spans(60, 0.65, 10, rng(seed)) for seed in range(300)], axis=0)
    assert counts.min() > 0


def test_distractors_are_uniform_over_the_other_masked_frames() -> None:
    negatives = draw_negatives(5, 4000, rng())
    assert negatives.shape == (5, 4000)
    for frame, drawn in enumerate(negatives):
        counts = np.bincount(drawn, minlength=5)
        assert counts[frame] == 0
        assert np.allclose(np.delete(counts, frame) / 4000, 0.25, atol=0.03)
    assert draw_negatives(2, 3, rng()).tolist() == [[1, 1, 1], [0, 0, 0]]


def test_the_same_generator_draws_the_same() -> None:
    assert np.array_equal(draw_spans(99, 0.65, 10, rng(3)), draw_spans(99, 0.65, 10, rng(3)))
    assert np.array_equal(draw_negatives(20, 100, rng(3)), draw_negatives(20, 100, rng(3)))
    assert not np.array_equal(draw_spans(99, 0.65, 10, rng(3)), draw_spans(99, 0.65, 10, rng(4)))
