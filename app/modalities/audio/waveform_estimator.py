"""Estimates of jobs on waveforms. A token is a frame. No torch: the API estimates."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from app.datasets.samples import MediaSample
from app.methods import Wav2Vec2Hyperparameters, preset
from app.methods.wav2vec2 import SAMPLE_RATE
from app.modalities.audio.crops import crop_length, longest_crop
from app.modalities.audio.frames import ConvolutionFrames
from app.modalities.audio.waveform_decoding import DTYPE
from app.modalities.audio.waveform_processor import FILE
from app.modalities.estimator import CheckedFiles, Cost, DataAmount, FindFolder, layers_of, stored_config
from app.modalities.media_amount import ItemRows, count_items, estimate_amount

_KEPT = 3  # numbers that the backward pass needs of each output of a convolution: before and after norm and activation


class WaveformEstimator:
    def amount(
        self, model: str, hyperparameters: Wav2Vec2Hyperparameters, files: CheckedFiles[MediaSample], find: FindFolder
    ) -> DataAmount:
        try:
            crops = _read_crops(_read_config(model, find), hyperparameters)
        except (KeyError, TypeError, ValueError):
            return count_items(files)
        stored = ItemRows(
            lambda length: max(1, math.ceil(length.seconds * crops.sample_rate)),
            crops.longest,
            np.dtype(DTYPE).itemsize,
            lambda samples: crops.frames.count(crop_length(samples, crops.longest)),
        )
        return estimate_amount(files, hyperparameters.validation_fraction, stored)

    def cost(self, model: str, hyperparameters: Wav2Vec2Hyperparameters, find: FindFolder) -> Cost | None:
        config = _read_config(model, find)
        try:
            return training_cost(config, _read_crops(config, hyperparameters), hyperparameters)
        except (KeyError, TypeError, ValueError):
            return None


class Crops(NamedTuple):
    """The crops of a job. longest: in samples."""

    sample_rate: int
    frames: ConvolutionFrames
    longest: int


def training_cost(config: Mapping[str, Any], crops: Crops, hp: Wav2Vec2Hyperparameters) -> Cost:
    """The cost of wav2vec 2.0 for crops of the maximum length. Raises KeyError, TypeError and ValueError."""
    layers, channels = layers_of(config), [1, *map(int, config["conv_dim"])]
    width, unit = layers.hidden_size, int(config.get("codevector_dim", 256))
    entries = int(config.get("num_codevector_groups", 2)) * int(config.get("num_codevectors_per_group", 320))
    positions = width**2 * config["num_conv_pos_embeddings"] // config["num_conv_pos_embedding_groups"]
    length = crops.frames.count(crops.longest)
    head = channels[-1] * entries + unit * int(config.get("proj_codevector_dim", unit)) + width * unit
    convolutions, multiplied, kept, repeats = 0, 0, 0, crops.frames.stride
    for before, after, kernel, stride in zip(
        channels, channels[1:], crops.frames.kernels, crops.frames.strides, strict=False
    ):
        repeats //= stride  # outputs of this layer for each frame
        convolutions += before * after * kernel
        multiplied += before * after * kernel * repeats
        kept += _KEPT * after * repeats
    return Cost(
        parameters=layers.parameters + convolutions + channels[-1] * width + positions + head + entries * unit,
        flops=layers.flops(length) + 6 * (multiplied + channels[-1] * width + positions + head),
        activations=layers.activations(length) + kept,
        step_tokens=hp.batch_size * length,
    )


def _read_config(model: str, find: FindFolder) -> Mapping[str, Any]:
    """Reads a preset's configuration, or all that a stored model's folder says of itself."""
    if (found := preset(model)) is not None:
        return {"sampling_rate": SAMPLE_RATE, **found}
    folder = find(model)
    return stored_config(folder, FILE) | stored_config(folder)


def _read_crops(config: Mapping[str, Any], hp: Wav2Vec2Hyperparameters) -> Crops:
    frames, rate = ConvolutionFrames.of_model(config), int(config.get("sampling_rate", SAMPLE_RATE))
    return Crops(rate, frames, longest_crop(hp.crop_seconds, rate, frames))
