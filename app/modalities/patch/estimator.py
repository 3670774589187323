"""Estimates of jobs on items that are cut into patches; modalities differ in their geometry only."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.datasets.samples import MediaSample
from app.methods import PatchHyperparameters, preset
from app.methods.image import configured
from app.modalities.estimator import CheckedFiles, Cost, DataAmount, FindFolder, layers_of, stored_config
from app.modalities.media_amount import ItemRows, count_items, estimate_amount
from app.modalities.patch.geometry import Geometry

PROCESSOR = "preprocessor_config.json"


@dataclass(frozen=True)
class PatchEstimator:
    """geometry: of a configuration; it raises KeyError, TypeError and ValueError where that says too little."""

    geometry: Callable[[Mapping[str, Any], Any], Geometry]

    def amount(
        self, model: str, hyperparameters: PatchHyperparameters, files: CheckedFiles[MediaSample], find: FindFolder
    ) -> DataAmount:
        try:
            geometry = self.geometry(_config(model, hyperparameters, find), hyperparameters)
        except (KeyError, TypeError, ValueError):
            return count_items(files)
        return estimate_amount(files, hyperparameters.validation_fraction, item_rows(geometry))

    def cost(self, model: str, hyperparameters: PatchHyperparameters, find: FindFolder) -> Cost | None:
        config = _config(model, hyperparameters, find)
        try:
            return training_cost(config, self.geometry(config, hyperparameters), hyperparameters)
        except (KeyError, TypeError, ValueError):
            return None


def _config(model: str, hp: PatchHyperparameters, find: FindFolder) -> Mapping[str, Any]:
    """Returns the configuration of a preset or of a stored model's folder."""
    if (found := preset(model)) is not None:
        return configured(found, hp)
    folder = find(model)
    return stored_config(folder, PROCESSOR) | stored_config(folder)


def item_rows(geometry: Geometry) -> ItemRows:
    return ItemRows(geometry.rows, geometry.window, geometry.row_bytes, lambda rows: geometry.grid.count)


def training_cost(config: Mapping[str, Any], geometry: Geometry, hp: PatchHyperparameters) -> Cost:
    """The cost of a vision transformer with a decoder (MAE and its kin) or with a linear head (SimMIM).

    Raises KeyError, TypeError and ValueError where the configuration says too little.
    """
    encoder = layers_of(config)
    decoder = layers_of(config, "decoder_") if "decoder_hidden_size" in config else None
    count, patch = geometry.grid.count, math.prod(geometry.grid.patch) * geometry.grid.channels
    masked = hp.mask_ratio or geometry.mask_defaults.ratio
    parameters = encoder.parameters + encoder.hidden_size * (patch + count + 1)
    if decoder is None:  # the encoder sees mask tokens too
        head = encoder.hidden_size * patch
        parameters, seen = parameters + head, 1.0
        flops, activations = 6 * masked * head, 0.0
    else:
        parameters += decoder.parameters + decoder.hidden_size * (encoder.hidden_size + patch + count + 1)
        seen = 1 - masked
        flops = decoder.flops(count) + 6 * decoder.hidden_size * (seen * encoder.hidden_size + patch)
        activations = decoder.activations(count)
    return Cost(
        parameters=parameters,
        flops=hp.views * (flops + 6 * encoder.hidden_size * patch + seen * encoder.flops(seen * count)),
        activations=hp.views * (activations + seen * encoder.activations(seen * count)),
        step_tokens=hp.batch_size * count,
    )
