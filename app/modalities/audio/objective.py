"""A model of sound and what it can do."""

from transformers import PreTrainedModel

from app.modalities.audio.processor import AudioProcessor
from app.modalities.patch.mae import MaeModel
from app.modalities.patch.masking import SPECTROGRAM_SAMPLERS
from app.modalities.patch.objective import PatchObjective
from app.modalities.reconstruction import MaskDefaults
from app.types import Modality

STRATEGY, RATIO = "random", 0.8  # AudioMAE (arXiv 2207.06405), section 4.4


class AudioObjective(PatchObjective):
    """decodes: the model has a decoder that means something; only then can it reconstruct."""

    modality = Modality.AUDIO
    eval_ratio = RATIO
    reader: AudioProcessor

    def __init__(
        self, model: PreTrainedModel, reader: AudioProcessor, *, decodes: bool, new_head: bool = False
    ) -> None:
        config = model.config
        strategy, ratio = getattr(config, "mask_strategy", STRATEGY), float(getattr(config, "mask_ratio", RATIO))
        super().__init__(
            MaeModel(model, decodes=decodes),
            reader,
            MaskDefaults(strategy, ratio, SPECTROGRAM_SAMPLERS),
            mean=(reader.unit_mean,),
            std=(reader.unit_std,),
            new_head=new_head,
        )
