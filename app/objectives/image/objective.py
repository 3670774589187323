"""An image model and what it can do."""

from collections.abc import Callable

from transformers import PreTrainedModel

from app.objectives.grid_masking import SAMPLERS
from app.objectives.image.architectures import SimMimModel
from app.objectives.image.processing import ImageReader
from app.objectives.patch.mae import MaeModel
from app.objectives.patch.model import PatchModel
from app.objectives.patch.objective import PatchObjective
from app.objectives.reconstruction import MaskDefaults
from app.types import Modality

MODELS: dict[str, Callable[..., PatchModel]] = {"vit_mae": MaeModel, "vit": SimMimModel}
MASKS = {"vit_mae": ("random", 0.75), "vit": ("square", 0.6)}  # how each method's paper hides patches


class ImageObjective(PatchObjective):
    """decodes: the model has a decoder that means something; only then can it reconstruct."""

    modality = Modality.IMAGE

    def __init__(self, model: PreTrainedModel, reader: ImageReader, *, decodes: bool, new_head: bool = False) -> None:
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
