"""An image model and what it can do."""

from collections.abc import Callable

from transformers import PreTrainedModel

from app.modalities.image.architectures import SimMimModel
from app.modalities.image.geometry import MASKS
from app.modalities.image.processor import ImageProcessor
from app.modalities.patch.mae import MaeModel
from app.modalities.patch.model import PatchModel
from app.modalities.patch.objective import PatchObjective
from app.types import ModalityName

MODELS: dict[str, Callable[..., PatchModel]] = {"vit_mae": MaeModel, "vit": SimMimModel}


class ImageObjective(PatchObjective):
    """decodes: the model has a decoder that means something; only then can it reconstruct."""

    modality = ModalityName.IMAGE
    processor: ImageProcessor

    def __init__(
        self, model: PreTrainedModel, processor: ImageProcessor, *, decodes: bool, new_head: bool = False
    ) -> None:
        super().__init__(
            MODELS[model.config.model_type](model, decodes=decodes),
            processor,
            MASKS[model.config.model_type].of_model(model.config.to_dict()),
            mean=processor.mean,
            std=processor.std,
            new_head=new_head,
        )
