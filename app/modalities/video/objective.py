"""A video model and what it can do."""

from transformers import PreTrainedModel

from app.modalities.patch.masking import CLIP_SAMPLERS, GridSampler, hide_tubes
from app.modalities.patch.objective import PatchObjective
from app.modalities.reconstruction import MaskDefaults
from app.modalities.video.architectures import TARGETS, VideoMaeModel
from app.modalities.video.processor import VideoProcessor
from app.types import Modality

STRATEGY, RATIO = "tube", 0.9  # VideoMAE (arXiv 2203.12602), section 3.3


class VideoObjective(PatchObjective):
    """decodes: the model has a decoder that means something; only then can it reconstruct."""

    modality = Modality.VIDEO
    eval_ratio = RATIO
    eval_sampler: GridSampler = staticmethod(hide_tubes)
    reader: VideoProcessor

    def __init__(
        self, model: PreTrainedModel, reader: VideoProcessor, *, decodes: bool, new_head: bool = False
    ) -> None:
        config = model.config
        strategy, ratio = getattr(config, "mask_strategy", STRATEGY), float(getattr(config, "mask_ratio", RATIO))
        super().__init__(
            VideoMaeModel(model, decodes=decodes),
            reader,
            MaskDefaults(strategy, ratio, CLIP_SAMPLERS),
            mean=reader.mean,
            std=reader.std,
            new_head=new_head,
            targets=TARGETS,
        )
