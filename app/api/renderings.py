"""How reconstructions are shown, by modality. A new modality is one entry in RENDERINGS."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.media.audio import encode_wav
from app.media.images import Pixels, encode_animated_webp, encode_png
from app.media.panels import (
    clip_panels,
    grey_out,
    image_panels,
    moving_panels,
    spectrogram_panels,
    spectrograms,
    to_pixels,
)
from app.media.video import encode_mp4
from app.modalities.audio.sound import Sound, resound
from app.modalities.reconstruction import ReconstructResult
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


def _spectrogram(which: int) -> Renderer:
    """0: original, 1: masked, 2: predicted."""
    return lambda result: encode_png(spectrograms(result.original, result.hidden, result.predicted)[which])


def _original_sound(result: ReconstructResult) -> bytes:
    sound: Sound = result.info
    return encode_wav(sound.samples, sound.mel.sample_rate)


def _predicted_sound(result: ReconstructResult) -> bytes:
    sound: Sound = result.info
    return encode_wav(resound(sound, result.predicted[..., 0], result.hidden), sound.mel.sample_rate)


def _contact_sheet(result: ReconstructResult) -> bytes:
    return encode_png(clip_panels(result.original, result.hidden, result.predicted))


def _moving_panels(result: ReconstructResult) -> bytes:
    return encode_animated_webp(moving_panels(result.original, result.hidden, result.predicted), fps=result.info.fps)


def _panels_film(result: ReconstructResult) -> bytes:
    return _film(result, moving_panels(result.original, result.hidden, result.predicted))


def _film(result: ReconstructResult, frames: Pixels) -> bytes:
    return encode_mp4(frames, fps=result.info.fps)


PNG, WEBP = "image/png", "image/webp"
WAV, MP4 = "audio/wav", "video/mp4"

RENDERINGS: dict[Modality, Rendering] = {
    Modality.VIDEO: Rendering(
        files={MP4: _panels_film, WEBP: _moving_panels, PNG: _contact_sheet},
        parts={
            "original": (MP4, lambda result: _film(result, to_pixels(result.original))),
            "masked": (MP4, lambda result: _film(result, to_pixels(grey_out(result.original, result.hidden)))),
            "predicted": (MP4, lambda result: _film(result, to_pixels(result.predicted))),
            "panels": (WEBP, _moving_panels),
            "sheet": (PNG, _contact_sheet),
        },
    ),
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
            "original_spectrogram": (PNG, _spectrogram(0)),
            "masked_spectrogram": (PNG, _spectrogram(1)),
            "predicted_spectrogram": (PNG, _spectrogram(2)),
            "panels": (PNG, _spectrogram_panels),
        },
    ),
}
