"""How reconstructed series are shown."""

from app.media.images import encode_png
from app.media.panels import spectrogram_panels
from app.modalities.descriptor import Rendering
from app.modalities.reconstruction import ReconstructResult
from tests.toy_modality.series import encode_series


def panels(result: ReconstructResult) -> bytes:
    return encode_png(spectrogram_panels(result.original, result.pixel_mask, result.predicted))


def predicted(result: ReconstructResult) -> bytes:
    return encode_series(result.predicted[..., 0], result.info)


RENDERING = Rendering(
    files={"image/png": panels, "text/csv": predicted},
    parts={"predicted": ("text/csv", predicted), "panels": ("image/png", panels)},
)
