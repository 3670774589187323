"""From a sound file to what a model sees, as the folder's preprocessor_config.json says."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidModel, InvalidValue
from app.media.audio import decode_audio, encode_wav
from app.media.images import Pixels
from app.media.panels import spectrogram_panels
from app.modalities.audio.mel import CEILING, FLOOR, Floats, MelSettings
from app.modalities.audio.sound import Sound
from app.modalities.model_files import read_json
from app.modalities.patch.decoded_media import DecodedMedia
from app.modalities.patch.grid import PatchGrid
from app.modalities.reconstruction import MaskRequest, touched

FILE = "preprocessor_config.json"
KIND = "LogMelSpectrogram"  # `feature_extractor_type` of the file: what tells a model of sound from one of images
MEAN, STD = -40.0, 20.0  # dB, about those of recordings; for models whose data say nothing else
MIN_STD = 1.0


@dataclass(frozen=True)
class AudioProcessor:
    """The Processor of sounds. mean, std: of the log-mel in dB, as the model's input is normalised."""

    grid: PatchGrid  # [frames, mels]
    mel: MelSettings
    mean: float = MEAN
    std: float = STD

    @property
    def window_frames(self) -> int:
        return self.grid.sizes[0]

    @property
    def unit_mean(self) -> float:
        """The mean of the model's input on the scale of levels, 0 to 1."""
        return (self.mean - FLOOR) / (CEILING - FLOOR)

    @property
    def unit_std(self) -> float:
        return self.std / (CEILING - FLOOR)

    def levels(self, content: bytes) -> Floats:
        """[T, n_mels] of a file"""
        return self.mel.log_mel(decode_audio(content, sample_rate=self.mel.sample_rate))

    def read(self, content: bytes) -> DecodedMedia:
        """Windows one after the other, the last one padded with silence."""
        samples = decode_audio(content, sample_rate=self.mel.sample_rate)
        levels = self.mel.log_mel(samples)
        length, size = len(levels), self.window_frames
        windows = -(-length // size)
        padded = np.pad(levels, ((0, windows * size - length), (0, 0)))
        seconds, step = len(samples) / self.mel.sample_rate, size * self.mel.frame_seconds
        times = tuple((window * step, min((window + 1) * step, seconds)) for window in range(windows))
        return DecodedMedia(padded.reshape(windows, *self.grid.sizes, 1), Sound(samples, self.mel), length, times)

    def place(self, request: MaskRequest, given: DecodedMedia) -> NDArray[np.bool_]:
        if request.boxes:
            raise InvalidValue("`boxes` are in pixels, and a sound has no pixels; use `ranges`", param="boxes")
        assert given.times is not None
        total = given.times[-1][1]
        windows, (rows, columns) = len(given.windows), self.grid.shape
        mask = np.zeros((windows * rows, columns), dtype=bool)
        for start, end in request.ranges:
            if not 0 <= start < end <= total:
                raise InvalidValue(
                    f"the range ({start:g}, {end:g}) is not (start, end) within the sound's {total:g} seconds",
                    param="ranges",
                )
            covered = windows * self.window_frames * self.mel.frame_seconds
            mask[touched(start, end, windows * rows, covered)] = True
        return mask.reshape(windows, rows, columns)

    def panels(self, original: Floats, mask: NDArray[np.bool_], predicted: Floats) -> Pixels:
        return spectrogram_panels(original, mask, predicted)

    def example(self) -> bytes:
        return encode_wav(np.zeros(self.mel.sample_rate // 10, np.float32), self.mel.sample_rate)

    def save(self, folder: Path) -> None:
        content = {"feature_extractor_type": KIND, **asdict(self.mel), "mean": self.mean, "std": self.std}
        content["window_frames"] = self.window_frames
        (folder / FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def is_audio(folder: Path) -> bool:
    """Whether the folder's processor file is one of sound."""
    if not (folder / FILE).is_file():
        return False
    config = read_json(folder / FILE)
    return isinstance(config, dict) and config.get("feature_extractor_type") == KIND


def load_processor(folder: Path, grid: PatchGrid) -> AudioProcessor:
    """By the folder's preprocessor_config.json. Raises InvalidModel."""
    config: dict[str, Any] = read_json(folder / FILE)
    try:
        whole = ("sample_rate", "n_fft", "win_length", "hop_length", "n_mels")
        mel = MelSettings(
            **{k: int(config[k]) for k in whole}, f_min=float(config["f_min"]), f_max=float(config["f_max"])
        )
        processor = AudioProcessor(grid, mel, float(config["mean"]), float(config["std"]))
        window = int(config.get("window_frames", grid.sizes[0]))
    except (KeyError, TypeError, ValueError) as e:
        raise InvalidModel(f"{FILE} of the model folder is not understood: {type(e).__name__} {e}") from e
    possible = 0 < mel.hop_length <= mel.win_length <= mel.n_fft and 0 <= mel.f_min < mel.f_max <= mel.sample_rate / 2
    if not (possible and processor.std > 0 and (window, mel.n_mels) == grid.sizes):
        raise InvalidModel(
            f"{FILE} of the model folder does not suit the model: {window} frames of {mel.n_mels} mel bands, where the"
            f" model has {grid.sizes[0]} of {grid.sizes[1]}, or settings that contradict each other"
        )
    return processor
