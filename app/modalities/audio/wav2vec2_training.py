"""Models and data of wav2vec 2.0 training."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import Wav2Vec2Config, Wav2Vec2ForPreTraining

from app.errors import InvalidModel
from app.methods import Wav2Vec2Hyperparameters, preset
from app.methods.wav2vec2 import SAMPLE_RATE
from app.modalities.audio.crops import MIN_FRAMES
from app.modalities.audio.frames import ConvolutionFrames
from app.modalities.audio.wav2vec2 import Wav2Vec2Objective
from app.modalities.audio.waveform_decoding import waveform_decoding
from app.modalities.audio.waveform_processor import FILE, WaveformProcessor, load_waveform_processor
from app.modalities.model_files import first_line, read_config, read_json
from app.modalities.patch.checkpoint import load_masked
from app.modalities.patch.decoding import Decoding

NEW = ("quantizer.", "project_q.", "project_hid.", "wav2vec2.masked_spec_embed")  # what a stored model may lack
_MASK_PROB = 0.05  # transformers' default; a model whose configuration masks nothing has no vector for masked frames


@dataclass(frozen=True)
class Wav2Vec2Training:
    """How the method `wav2vec2` trains models."""

    def load(
        self, folder: Path, hyperparameters: Wav2Vec2Hyperparameters, tell: Callable[[str], None]
    ) -> tuple[Wav2Vec2Objective, bool]:
        """Loads a stored model, and returns whether weights of its head are new. Raises InvalidModel.

        tell: logs a message.
        """
        read_config(folder, {"wav2vec2"}, "a wav2vec 2.0 model")
        config = _read_masking_config(folder)
        model, is_complete = load_masked(Wav2Vec2ForPreTraining, folder, NEW, {}, torch.float32, config=config)
        assert isinstance(model, Wav2Vec2ForPreTraining)
        if not is_complete:
            tell(
                "The stored model lacks weights of the quantizer, of the projections, or of the vector for masked"
                " frames. They start at random"
            )
        processor = load_waveform_processor(folder, ConvolutionFrames.of_model(model.config.to_dict()))
        return Wav2Vec2Objective(model, processor, read_json(folder / FILE), hyperparameters), not is_complete

    def build(self, name: str, hyperparameters: Wav2Vec2Hyperparameters) -> Wav2Vec2Objective:
        """Builds a model of a preset, with random weights from torch's global generator."""
        fields = {field: value for field, value in (preset(name) or {}).items() if field != "model_type"}
        model = Wav2Vec2ForPreTraining(Wav2Vec2Config(**fields))
        frames = ConvolutionFrames.of_model(model.config.to_dict())
        processor = WaveformProcessor(SAMPLE_RATE, normalises=True, least=frames.samples(1))
        return Wav2Vec2Objective(model, processor, _describe_processor(processor), hyperparameters)

    def decoding(self, objective: Wav2Vec2Objective) -> Decoding:
        """Returns how files become rows, of which each is one sample."""
        return waveform_decoding(objective.processor.sample_rate, objective.frames.samples(MIN_FRAMES))


def _read_masking_config(folder: Path) -> Any:
    """Reads config.json, so that the model has a vector for masked frames. Raises InvalidModel."""
    try:
        config = Wav2Vec2Config.from_pretrained(folder, local_files_only=True)
    except Exception as e:  # of any of transformers' checks
        raise InvalidModel(f"the model cannot be loaded: {first_line(e)}") from e
    if not (config.mask_time_prob > 0 or config.mask_feature_prob > 0):
        config.mask_time_prob = _MASK_PROB
    return config


def _describe_processor(processor: WaveformProcessor) -> dict[str, Any]:
    """Returns the content of a preprocessor_config.json, as Wav2Vec2FeatureExtractor writes it."""
    return {
        "do_normalize": processor.normalises,
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "feature_size": 1,
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": False,
        "sampling_rate": processor.sample_rate,
    }
