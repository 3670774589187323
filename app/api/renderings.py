"""How reconstructions are shown, by modality. A new modality is one entry in RENDERINGS."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.media.audio import encode_wav
from app.media.images import encode_png
from app.media.panels import grey_out, image_panels, spectrogram_panels, to_pixels
from app.objectives.audio.sound import Sound, resound
from app.objectives.reconstruction import ReconstructResult
from app.types import Modality

Renderer = Callable[[ReconstructResult], bytes]


@dataclass(frozen=True)
class Rendering:
    """files: media type → the answer as one file, for who asks for it by `Accept`.

    parts: name → (media type, file), which a JSON answer carries.
    """

    files: Mapping[str, Renderer]
    parts: Mapping[str, tuple[str, Renderer]]


def _image_panels(result: ReconstructResult) -> bytes:
    return encode_png(image_panels(result.original, result.hidden, result.predicted))


def _spectrogram_panels(result: ReconstructResult) -> bytes:
    return encode_png(spectrogram_panels(result.original, result.hidden, result.predicted))


def _original_sound(result: ReconstructResult) -> bytes:
    sound: Sound = result.info
    return encode_wav(sound.samples, sound.mel.sample_rate)


def _predicted_sound(result: ReconstructResult) -> bytes:
    sound: Sound = result.info
    return encode_wav(resound(sound, result.predicted[..., 0], result.hidden), sound.mel.sample_rate)


PNG, WAV = "image/png", "audio/wav"

RENDERINGS: dict[Modality, Rendering] = {
    Modality.IMAGE: Rendering(
        files={PNG: _image_panels},
        parts={
            "original": (PNG, lambda result: encode_png(to_pixels(result.original))),
            "masked": (PNG, lambda result: encode_png(to_pixels(grey_out(result.original, result.hidden)))),
            "predicted": (PNG, lambda result: encode_png(to_pixels(result.predicted))),
            "panels": (PNG, _image_panels),
        },
    ),
    Modality.AUDIO: Rendering(
        files={PNG: _spectrogram_panels, WAV: _predicted_sound},
        parts={
            "original": (WAV, _original_sound),
            "predicted": (WAV, _predicted_sound),
            "panels": (PNG, _spectrogram_panels),
        },
    ),
}
