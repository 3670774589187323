"""A model of sound and what it can do."""

from transformers import PreTrainedModel

from app.modalities.audio.geometry import MASKS
from app.modalities.audio.processor import AudioProcessor
from app.modalities.patch.mae import MaeModel
from app.modalities.patch.objective import PatchObjective
from app.types import ModalityName


class AudioObjective(PatchObjective):
    """decodes: the model has a decoder that means something; only then can it reconstruct."""

    modality = ModalityName.AUDIO
    processor: AudioProcessor

    def __init__(
        self, model: PreTrainedModel, processor: AudioProcessor, *, decodes: bool, new_head: bool = False
    ) -> None:
        super().__init__(
            MaeModel(model, decodes=decodes),
            processor,
            MASKS.of_model(model.config.to_dict()),
            mean=(processor.unit_mean,),
            std=(processor.unit_std,),
            new_head=new_head,
        )
