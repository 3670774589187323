"""Images: masked autoencoders (MAE), masked image modelling (SimMIM), and encoders of transformers."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.media.accepted import IMAGES, AcceptedFiles
from app.methods.image import METHODS, ImageHyperparameters
from app.modalities.descriptor import Rendering
from app.modalities.examples import classify_example, embed_example, reconstruct_example
from app.modalities.image.encoder_types import ENCODERS, is_encoder
from app.modalities.image.geometry import MASKS, image_geometry
from app.modalities.patch.geometry import Geometry
from app.modalities.patch.modality import PatchModality
from app.modalities.plain_features import PlainFeatures
from app.types import ModalityName, Task

if TYPE_CHECKING:
    import torch

    from app.modalities.image.training import ImageTraining
    from app.modalities.served_model import AnyMaskedModel


class ImageModality(PatchModality):
    name = ModalityName.IMAGE
    methods = METHODS
    model_types = frozenset({*MASKS, *ENCODERS})
    examples: Mapping[Task, str] = {
        Task.EMBED: embed_example("data:image/jpeg;base64,…"),
        Task.CLASSIFY: classify_example("data:image/jpeg;base64,…"),
        Task.RECONSTRUCT: reconstruct_example("photo.jpg"),
    }

    def load(self, folder: Path, *, dtype: "torch.dtype") -> "AnyMaskedModel":
        from app.modalities.image.encoder import load_encoder
        from app.modalities.image.load import load_image

        return load_encoder(folder, dtype=dtype) if is_encoder(folder) else load_image(folder, dtype=dtype)

    def accepted(self, hyperparameters: Any) -> AcceptedFiles:
        return IMAGES

    def geometry(self, config: Mapping[str, Any], hyperparameters: ImageHyperparameters) -> Geometry:
        return image_geometry(config, hyperparameters)

    def training(self, method: str) -> "ImageTraining":
        from app.modalities.image.training import ImageTraining

        return ImageTraining()

    def plain_features(self) -> PlainFeatures:
        from app.modalities.image.plain import PIXELS

        return PIXELS

    def thumbnail(self) -> Callable[[bytes], bytes]:
        from app.media.thumbnails import make_thumbnail

        return make_thumbnail

    def rendering(self) -> Rendering:
        from app.modalities.image.renderings import RENDERING

        return RENDERING


IMAGE = ImageModality()
