"""Sound: spectrograms of windows of it, cut into patches; and encoders of waveforms and filter banks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.media.accepted import SOUNDS, AcceptedFiles
from app.methods.audio import METHODS, AudioMaeHyperparameters
from app.methods.wav2vec2 import METHODS as WAVEFORM_METHODS
from app.modalities.audio.geometry import audio_geometry
from app.modalities.audio.waveform_estimator import WaveformEstimator
from app.modalities.audio.waveform_processor import WAVEFORM_MODELS
from app.modalities.descriptor import Rendering
from app.modalities.examples import classify_example, embed_example, reconstruct_example
from app.modalities.model_files import read_json
from app.modalities.patch.geometry import Geometry
from app.modalities.patch.modality import PatchModality
from app.modalities.plain_features import PlainFeatures
from app.types import ModalityName, Task

if TYPE_CHECKING:
    import torch

    from app.modalities.audio.training import AudioTraining
    from app.modalities.audio.wav2vec2_training import Wav2Vec2Training
    from app.modalities.estimator import Estimator
    from app.modalities.served_model import ServedModel

AST = "audio-spectrogram-transformer"


_SPECTROGRAM_LIMITATIONS = (
    "Transformers loads the encoder with `ViTMAEModel.from_pretrained(folder, mask_ratio=0.0)`. The mean of its "
    "hidden states over the patches is the embedding. It loads the whole model (`ViTMAEForPreTraining`) only if "
    "the number of patches is a square number, because its constructor computes the decoder's positions for square "
    "grids only. Otherwise, reconstruct with Cloze.",
    "Transformers has no class for the `preprocessor_config.json` of a spectrogram model. Use "
    "`app.modalities.audio.mel.MelSettings` of Cloze, or make the spectrograms by its values.",
)


class AudioModality(PatchModality):
    name = ModalityName.AUDIO
    methods = METHODS
    model_types = frozenset({*WAVEFORM_MODELS, AST})  # ViTMAE is an architecture of images: the processor file tells
    examples: Mapping[Task, str] = {
        Task.EMBED: embed_example("data:audio/flac;base64,…"),
        Task.CLASSIFY: classify_example("data:audio/flac;base64,…"),
        Task.RECONSTRUCT: reconstruct_example("sound.flac"),
    }

    def is_marked(self, folder: Path) -> bool:
        from app.modalities.audio.processor import is_audio

        return is_audio(folder)

    def load(self, folder: Path, *, dtype: "torch.dtype") -> "ServedModel":
        from app.modalities.audio.ast import load_ast
        from app.modalities.audio.load import load_audio
        from app.modalities.audio.waveform import load_waveform

        model_type = read_json(folder / "config.json").get("model_type")
        if model_type == AST:
            return load_ast(folder, dtype=dtype)
        return load_waveform(folder, dtype=dtype) if model_type in WAVEFORM_MODELS else load_audio(folder, dtype=dtype)

    def accepted(self, hyperparameters: Any) -> AcceptedFiles:
        return SOUNDS

    def geometry(self, config: Mapping[str, Any], hyperparameters: AudioMaeHyperparameters) -> Geometry:
        return audio_geometry(config, hyperparameters)

    def estimator(self, method: str) -> "Estimator":
        return WaveformEstimator() if method in WAVEFORM_METHODS else super().estimator(method)

    def training(self, method: str) -> "AudioTraining | Wav2Vec2Training":
        from app.modalities.audio.training import AudioTraining
        from app.modalities.audio.wav2vec2_training import Wav2Vec2Training

        return Wav2Vec2Training() if method in WAVEFORM_METHODS else AudioTraining()

    def plain_features(self) -> PlainFeatures:
        from app.modalities.audio.plain import BANDS

        return BANDS

    def limitations(self, architecture: str) -> Sequence[str]:
        return () if architecture in WAVEFORM_MODELS else _SPECTROGRAM_LIMITATIONS

    def rendering(self) -> Rendering:
        from app.modalities.audio.renderings import RENDERING

        return RENDERING


AUDIO = AudioModality()
