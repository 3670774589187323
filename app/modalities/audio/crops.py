"""Crops, masks and distractors of waveforms, as wav2vec 2.0 is trained with them (arXiv 2006.11477). No torch.

All functions draw from the generator that they are given, and from nothing else.
"""

import numpy as np
from numpy.typing import NDArray

from app.modalities.audio.frames import ConvolutionFrames

MIN_FRAMES = 4  # of a crop: two masked ones, which are told from each other, and visible ones
MIN_SPANS = 2
LENGTHS_AN_OCTAVE = 2  # lengths of crops between one length and half of it

Mask = NDArray[np.bool_]
Places = NDArray[np.int64]


def crop_length(samples: int, longest: int) -> int:
    """Returns the length of the crops of a sound: the largest of `longest` × 2^(−n / 2) that fits into it.

    Few lengths give large batches: a batch computes crops of equal length together, without padding, since the
    normalization of the convolutions would count padding. Over several epochs, random crops cover the whole sound.
    """
    if samples >= longest:
        return longest
    steps = int(np.ceil(LENGTHS_AN_OCTAVE * np.log2(longest / samples)))
    return min(samples, round(longest * 2 ** (-steps / LENGTHS_AN_OCTAVE)))


def longest_crop(seconds: float, sample_rate: int, frames: ConvolutionFrames) -> int:
    """Returns the samples of the longest crop, which has at least MIN_FRAMES frames."""
    return max(round(seconds * sample_rate), frames.samples(MIN_FRAMES))


def draw_spans(frames: int, prob: float, length: int, rng: np.random.Generator) -> Mask:
    """Masks spans of frames: bool [frames], with two or more frames masked and one or more visible.

    As in transformers' `_compute_mask_indices`: prob × frames / length spans, rounded at random, whose first frames
    are drawn without replacement, so that spans may overlap. In short sounds spans are shorter, half of the frames
    at most.

    frames: MIN_FRAMES or more.
    """
    length = min(length, frames // 2)
    wanted = max(MIN_SPANS, int(prob * frames / length + rng.random()))
    spans = min(wanted, (frames - 1) // length)  # end to end, they leave a frame visible
    first = rng.choice(frames - length + 1, spans, replace=False)
    mask = np.zeros(frames, dtype=bool)
    mask[first[:, None] + np.arange(length)] = True
    return mask


def draw_negatives(masked: int, count: int, rng: np.random.Generator) -> Places:
    """Draws the distractors of each masked frame, uniformly and with replacement from the other masked ones.

    masked: masked frames of a crop, two or more.

    Returns:
        [masked, count] numbers of masked frames, from 0.
    """
    negatives = rng.integers(0, masked - 1, (masked, count))
    return negatives + (negatives >= np.arange(masked)[:, None])
