"""How reconstructed sounds are shown and heard."""

from app.media.audio import encode_wav
from app.media.images import encode_png
from app.media.panels import spectrogram_panels, spectrograms
from app.modalities.audio.sound import Sound, resound
from app.modalities.descriptor import Renderer, Rendering
from app.modalities.reconstruction import ReconstructResult

PNG, WAV = "image/png", "audio/wav"


def _panels(result: ReconstructResult) -> bytes:
    return encode_png(spectrogram_panels(result.original, result.pixel_mask, result.predicted))


def _spectrogram(which: int) -> Renderer:
    """0: original, 1: masked, 2: predicted."""
    return lambda result: encode_png(spectrograms(result.original, result.pixel_mask, result.predicted)[which])


def _original_sound(result: ReconstructResult) -> bytes:
    sound: Sound = result.info
    return encode_wav(sound.samples, sound.mel.sample_rate)


def _predicted_sound(result: ReconstructResult) -> bytes:
    sound: Sound = result.info
    return encode_wav(resound(sound, result.predicted[..., 0], result.pixel_mask), sound.mel.sample_rate)


RENDERING = Rendering(
    files={PNG: _panels, WAV: _predicted_sound},
    parts={
        "original": (WAV, _original_sound),
        "predicted": (WAV, _predicted_sound),
        "original_spectrogram": (PNG, _spectrogram(0)),
        "masked_spectrogram": (PNG, _spectrogram(1)),
        "predicted_spectrogram": (PNG, _spectrogram(2)),
        "panels": (PNG, _panels),
    },
)
