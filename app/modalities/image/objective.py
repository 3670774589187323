"""An image model and what it can do."""

from collections.abc import Callable

from transformers import PreTrainedModel

from app.modalities.image.architectures import SimMimModel
from app.modalities.image.processor import ImageProcessor
from app.modalities.patch.mae import MaeModel
from app.modalities.patch.masking import SAMPLERS
from app.modalities.patch.model import PatchModel
from app.modalities.patch.objective import PatchObjective
from app.modalities.reconstruction import MaskDefaults
from app.types import Modality

MODELS: dict[str, Callable[..., PatchModel]] = {"vit_mae": MaeModel, "vit": SimMimModel}
MASKS = {"vit_mae": ("random", 0.75), "vit": ("square", 0.6)}  # how each method's paper hides patches


class ImageObjective(PatchObjective):
    """decodes: the model has a decoder that means something; only then can it reconstruct."""

    modality = Modality.IMAGE

    def __init__(
        self, model: PreTrainedModel, reader: ImageProcessor, *, decodes: bool, new_head: bool = False
    ) -> None:
        config = model.config
        strategy, ratio = MASKS[config.model_type]
        # A job may have trained with others than its method's; MAE's own configuration holds the ratio.
        masks = MaskDefaults(
            getattr(config, "mask_strategy", strategy), float(getattr(config, "mask_ratio", ratio)), SAMPLERS
        )
        super().__init__(
            MODELS[config.model_type](model, decodes=decodes),
            reader,
            masks,
            mean=reader.mean,
            std=reader.std,
            new_head=new_head,
        )
