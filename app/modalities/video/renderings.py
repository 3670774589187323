"""How reconstructed videos are shown."""

from app.media.images import Pixels, encode_animated_webp, encode_png
from app.media.panels import clip_panels, grey_out, moving_panels, to_pixels
from app.media.video import encode_mp4
from app.modalities.descriptor import Rendering
from app.modalities.reconstruction import ReconstructResult

PNG, WEBP, MP4 = "image/png", "image/webp", "video/mp4"


def _contact_sheet(result: ReconstructResult) -> bytes:
    return encode_png(clip_panels(result.original, result.pixel_mask, result.predicted))


def _moving_panels(result: ReconstructResult) -> bytes:
    return encode_animated_webp(
        moving_panels(result.original, result.pixel_mask, result.predicted), fps=result.info.fps
    )


def _panels_film(result: ReconstructResult) -> bytes:
    return _film(result, moving_panels(result.original, result.pixel_mask, result.predicted))


def _film(result: ReconstructResult, frames: Pixels) -> bytes:
    return encode_mp4(frames, fps=result.info.fps)


RENDERING = Rendering(
    files={MP4: _panels_film, WEBP: _moving_panels, PNG: _contact_sheet},
    parts={
        "original": (MP4, lambda result: _film(result, to_pixels(result.original))),
        "masked": (MP4, lambda result: _film(result, to_pixels(grey_out(result.original, result.pixel_mask)))),
        "predicted": (MP4, lambda result: _film(result, to_pixels(result.predicted))),
        "panels": (WEBP, _moving_panels),
        "sheet": (PNG, _contact_sheet),
    },
)
