"""Mean and deviation of the log-mel bands of a sound."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from app.media.audio import decode_audio
from app.modalities.audio.mel import MelSettings
from app.modalities.plain_features import PlainFeatures

_BANDS = 64


@cache
def _mel() -> MelSettings:
    return MelSettings(16_000, n_fft=512, win_length=400, hop_length=160, n_mels=_BANDS, f_min=0.0, f_max=8_000.0)


def describe_bands(data: bytes) -> NDArray[np.float32]:
    """Returns the mean and the standard deviation of each band over time, [128]. Raises InvalidData and TooLarge."""
    levels = _mel().log_mel(decode_audio(data, sample_rate=16_000))
    return np.concatenate([levels.mean(0), levels.std(0)])


BANDS = PlainFeatures("mean and deviation of log-mel", describe_bands)
