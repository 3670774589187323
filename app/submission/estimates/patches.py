"""Estimates of jobs on media: all of them are cut into patches, and differ in what they decode to."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Any, NamedTuple

from app.datasets.samples import MediaSample
from app.errors import InvalidData
from app.jobs.spec import Estimate, Job
from app.media.lengths import Length
from app.media.limits import DEFAULT_LIMITS
from app.methods import (
    AudioMaeHyperparameters,
    ImageHyperparameters,
    PatchHyperparameters,
    VideoMaeHyperparameters,
    preset,
)
from app.methods.audio import geometry, spectrogram
from app.methods.image import configured, kept_size
from app.methods.video import GEOMETRY, MAX_CLIPS
from app.modalities.patch.grid import PatchGrid
from app.store.store import ModelStore
from app.submission.estimates.base import Cost, Material, complete, layers_of, stored_config

_HALF = 2  # bytes of a number in 16 bits


class Layout(NamedTuple):
    """How items become samples. A sample has `window` rows or more; an item of fewer is one sample."""

    grid: PatchGrid  # of what the model sees at once
    window: int
    row_bytes: int  # on the disk
    rows: Callable[[Length], int]  # of an item
    mask_ratio: float  # where neither the job nor the model says


# (the configuration of a preset or a stored model, the hyperparameters) → Layout; raises KeyError, TypeError and
# ValueError where the configuration says too little.
LayoutOf = Callable[[Mapping[str, Any], Any], Layout]


def images(config: Mapping[str, Any], hp: ImageHyperparameters) -> Layout:
    """An image is a row of uint8."""
    size, patch = hp.image_size or int(config["image_size"]), hp.patch_size or int(config["patch_size"])
    grid = PatchGrid((size, size), (patch, patch), hp.channels or config.get("num_channels", 3))
    return Layout(grid, 1, kept_size(size, hp.crop) ** 2 * grid.channels, lambda _: 1, 0.75)


def sounds(config: Mapping[str, Any], hp: AudioMaeHyperparameters) -> Layout:
    """A row is a frame of the spectrogram, in float16."""
    frames, bands, patch = geometry(config, hp)
    mel = spectrogram(config, hp)
    rate = mel["sample_rate"] / mel["hop_length"]
    grid = PatchGrid((frames, bands), (patch, patch), 1)
    return Layout(grid, frames, bands * _HALF, lambda length: max(1, math.ceil(length.seconds * rate)), 0.8)


def clips(config: Mapping[str, Any], hp: VideoMaeHyperparameters) -> Layout:
    """A row is a frame of a clip, in uint8."""
    size, patch, frames, tubelet = (getattr(hp, name) or int(config[name]) for name in GEOMETRY)
    span = frames * (hp.stride or config.get("stride", 1))
    rate = None if hp.strip_frames else hp.frame_rate or config.get("frame_rate")
    kept = kept_size(size, hp.crop)
    most = min(MAX_CLIPS, DEFAULT_LIMITS.clips_at_once(frames, kept))

    def rows(length: Length) -> int:
        shown = hp.strip_frames or (length.seconds * rate if rate else length.frames)
        return frames * min(max(1, math.ceil(shown / span - 0.01)), most)

    grid = PatchGrid((frames, size, size), (tubelet, patch, patch), 3)
    return Layout(grid, frames, kept**2 * 3, rows, 0.9)


class _Amount(NamedTuple):
    """The amount of data in a whole file, extrapolated from its beginning."""

    items: float
    samples: float
    rows: float


def estimate_patches(
    layout_of: LayoutOf,
    model: str,
    hp: PatchHyperparameters,
    material: Material[MediaSample],
    store: ModelStore,
    recent: Sequence[Job],
) -> Estimate:
    """Raises InvalidData where it is plain that there are too few items."""
    items = sum(sample.items / sample.share for sample in material.samples)
    known = Estimate(documents=round(items), sampled=not all(sample.whole for sample in material.samples))
    if items < 2 and not known.sampled and material.held_out is None:
        raise InvalidData(
            "one usable file is too little: there must be one to train on and one to hold out", param="training_file"
        )
    config = _config(store, model, hp)
    try:
        layout = layout_of(config, hp)
    except (KeyError, TypeError, ValueError):
        return known
    amounts = [_amount(sample, layout) for sample in material.files]
    training = amounts[: len(material.samples)]
    held = 0.0 if material.held_out else min(max(1, round(hp.validation_fraction * items)), items - 1) / items
    epoch = (1 - held) * sum(a.samples * w for a, w in zip(training, material.weights, strict=True))
    samples = sum(amount.samples for amount in training)
    return complete(
        known.model_copy(update={"samples": round(samples), "tokens": round(samples) * layout.grid.count}),
        model,
        hp,
        partial(_cost, layout_of, store),
        recent,
        epoch=epoch * layout.grid.count,
        data_bytes=sum(amount.rows for amount in amounts) * layout.row_bytes,
    )


def _config(store: ModelStore, model: str, hp: PatchHyperparameters) -> Mapping[str, Any]:
    """A preset's, or all that a stored model's folder says of itself."""
    if (found := preset(model)) is not None:
        return configured(found, hp)
    return stored_config(store, model, "preprocessor_config.json") | stored_config(store, model)


def _amount(sample: MediaSample, layout: Layout) -> _Amount:
    items = sample.items / sample.share
    rows = [layout.rows(length) for length in sample.lengths or (Length(),)]
    samples = fmean(max(1, each // layout.window) for each in rows)
    return _Amount(items, items * samples, items * fmean(rows))


def _cost(layout_of: LayoutOf, store: ModelStore, model: str, hp: PatchHyperparameters) -> Cost | None:
    """The cost of a vision transformer with a decoder (MAE and its kin) or with a linear head (SimMIM)."""
    config = _config(store, model, hp)
    try:
        layout, encoder = layout_of(config, hp), layers_of(config)
        decoder = layers_of(config, "decoder_") if "decoder_hidden_size" in config else None
    except (KeyError, TypeError, ValueError):
        return None
    count, patch = layout.grid.count, math.prod(layout.grid.patch) * layout.grid.channels
    hidden = hp.mask_ratio or float(config.get("mask_ratio") or layout.mask_ratio)
    parameters = encoder.parameters + encoder.hidden * (patch + count + 1)
    if decoder is None:  # the encoder sees mask tokens too
        head = encoder.hidden * patch
        parameters, seen = parameters + head, 1.0
        flops, activations = 6 * hidden * head, 0.0
    else:
        parameters += decoder.parameters + decoder.hidden * (encoder.hidden + patch + count + 1)
        seen = 1 - hidden
        flops = decoder.flops(count) + 6 * decoder.hidden * (seen * encoder.hidden + patch)
        activations = decoder.activations(count)
    return Cost(
        parameters=parameters,
        flops=hp.views * (flops + 6 * encoder.hidden * patch + seen * encoder.flops(seen * count)),
        activations=hp.views * (activations + seen * encoder.activations(seen * count)),
        step_tokens=hp.batch_size * count,
    )
