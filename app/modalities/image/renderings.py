"""How reconstructed images are shown."""

from app.media.images import encode_png
from app.media.panels import grey_out, image_panels, to_pixels
from app.modalities.descriptor import Rendering
from app.modalities.reconstruction import ReconstructResult

PNG = "image/png"


def _panels(result: ReconstructResult) -> bytes:
    return encode_png(image_panels(result.original, result.pixel_mask, result.predicted))


RENDERING = Rendering(
    files={PNG: _panels},
    parts={
        "original": (PNG, lambda result: encode_png(to_pixels(result.original))),
        "masked": (PNG, lambda result: encode_png(to_pixels(grey_out(result.original, result.pixel_mask)))),
        "predicted": (PNG, lambda result: encode_png(to_pixels(result.predicted))),
        "panels": (PNG, _panels),
    },
)
