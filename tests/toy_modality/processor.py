"""From a file to the windows that a model sees. No torch: files are read in child processes."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidValue
from app.media.panels import spectrogram_panels
from app.modalities.model_files import read_json
from app.modalities.patch.decoded_media import DecodedMedia
from app.modalities.patch.grid import PatchGrid
from app.modalities.reconstruction import MaskRequest, touched
from tests.toy_modality.series import decode_series, encode_series

FILE, KIND = "preprocessor_config.json", "SensorSeries"

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class SensorProcessor:
    grid: PatchGrid  # [readings, sensors]

    def read(self, content: bytes) -> DecodedMedia:
        """Windows one after the other, the last one padded."""
        values, rate = decode_series(content)
        length, size = len(values), self.grid.sizes[0]
        windows = -(-length // size)
        padded = np.pad(values, ((0, windows * size - length), (0, 0)))
        times = tuple((n * size / rate, min((n + 1) * size, length) / rate) for n in range(windows))
        return DecodedMedia(padded.reshape(windows, *self.grid.sizes, 1), rate, length, times)

    def place(self, request: MaskRequest, given: DecodedMedia) -> Bools:
        if request.boxes:
            raise InvalidValue("`boxes` are pixels, which sensors have none of; use `ranges`", param="boxes")
        rate: float = given.info
        rows = len(given.windows) * self.grid.shape[0]
        mask = np.zeros((rows, self.grid.shape[1]), dtype=bool)
        for start, end in request.ranges:
            mask[touched(start, end, rows, len(given.windows) * self.grid.sizes[0] / rate)] = True
        return mask.reshape(len(given.windows), *self.grid.shape)

    def panels(self, original: Floats, mask: Bools, predicted: Floats) -> NDArray[np.uint8]:
        return spectrogram_panels(original, mask, predicted)

    def example(self) -> bytes:
        return encode_series(np.full(self.grid.sizes, 0.5, np.float32), 50.0)

    def save(self, folder: Path) -> None:
        (folder / FILE).write_text(json.dumps({"feature_extractor_type": KIND}), encoding="utf-8")


def is_sensor(folder: Path) -> bool:
    return (folder / FILE).is_file() and read_json(folder / FILE).get("feature_extractor_type") == KIND
