"""Models and pictures of runs on images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.methods.image import ImageHyperparameters
from app.modalities.image.builder import build_preset
from app.modalities.image.decoding import image_decoding
from app.modalities.image.encoder import EncoderObjective, load_encoder
from app.modalities.image.encoder_types import is_encoder
from app.modalities.image.load import load_image
from app.modalities.image.objective import ImageObjective
from app.modalities.image.processor import ImageProcessor
from app.modalities.patch.augment import ImageAugment
from app.modalities.patch.decoding import Decoding
from app.modalities.patch.geometry import Geometry
from app.modalities.patch.mae import grid_of
from app.modalities.patch.training import PatchTraining

AnyObjective = ImageObjective | EncoderObjective


class ImageTraining(PatchTraining[ImageHyperparameters, AnyObjective]):
    def load(self, folder: Path, settings: Mapping[str, Any]) -> AnyObjective:
        if is_encoder(folder):
            return load_encoder(folder, new_head=True, settings=settings)
        return load_image(folder, new_head=True, settings=settings)

    def build(
        self, config: Mapping[str, Any], geometry: Geometry, hyperparameters: ImageHyperparameters
    ) -> ImageObjective:
        size, patch, channels = geometry.grid.sizes[0], geometry.grid.patch[0], geometry.grid.channels
        model = build_preset({**config, "image_size": size, "patch_size": patch, "num_channels": channels})
        processor = ImageProcessor(grid_of(model), mean=(0.5,) * channels, std=(0.5,) * channels)
        return ImageObjective(model, processor, decodes=True, new_head=True)

    def decoding(self, objective: AnyObjective, geometry: Geometry, hyperparameters: ImageHyperparameters) -> Decoding:
        return image_decoding(geometry)

    def augment(self, objective: AnyObjective, hyperparameters: ImageHyperparameters) -> ImageAugment:
        hp = hyperparameters
        return ImageAugment(objective.processor.size, hp.crop, hp.flip, hp.color_jitter)
