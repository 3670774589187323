"""A video model and what it can do."""

from transformers import PreTrainedModel

from app.modalities.patch.objective import PatchObjective
from app.modalities.video.architectures import TARGETS, VideoMaeModel
from app.modalities.video.geometry import MASKS
from app.modalities.video.processor import VideoProcessor
from app.types import ModalityName


class VideoObjective(PatchObjective):
    """decodes: the model has a decoder that means something; only then can it reconstruct."""

    modality = ModalityName.VIDEO
    processor: VideoProcessor

    def __init__(
        self, model: PreTrainedModel, processor: VideoProcessor, *, decodes: bool, new_head: bool = False
    ) -> None:
        super().__init__(
            VideoMaeModel(model, decodes=decodes),
            processor,
            MASKS.of_model(model.config.to_dict()),
            mean=processor.mean,
            std=processor.std,
            new_head=new_head,
            targets=TARGETS,
        )
