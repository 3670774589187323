"""Audio: bytes ↔ float32 arrays in [-1, 1]."""

import io
from collections.abc import Iterator

import av
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from app.errors import InvalidData, TooLarge
from app.media.containers import open_container
from app.media.limits import DEFAULT_LIMITS, Limits
from app.media.sniff import FLAC, M4A, Kind, expect, reading
from app.types import Modality

Samples = NDArray[np.float32]

MIN_RATE, MAX_RATE = 1000, 768_000
BLOCK_SECONDS = 1.0  # resampled at once
# Only these say exactly how long they are; others are played up to where they end.
EXACT = {FLAC.name, M4A.name}

# How loud each loudspeaker is in the mono mix: that of ITU-R BS.775, which brings centre and surround
# to left and right at -3 dB, then halves both; without the low-frequency effects, as there.
WEIGHTS = {"FL": 1.0, "FR": 1.0, "FC": 2**0.5, "LFE": 0.0, "LFE2": 0.0}
SURROUND = 0.5**0.5  # every other loudspeaker


def decode_audio(data: bytes, *, sample_rate: int, limits: Limits = DEFAULT_LIMITS) -> Samples:
    """Mono float32 [T] at `sample_rate` (Hz), T = seconds × rate.

    Any rate is resampled (soxr HQ) and any channels are mixed. What is decoded is counted while it
    comes, since headers lie. Raises InvalidData and TooLarge.
    """
    kind = expect(data, Modality.AUDIO, limits)
    with reading(kind):
        parts = list(_resampled(_blocks(data, kind, limits), sample_rate))
    if not any(map(len, parts)):  # resampled to a lower rate, a sample or two may leave none
        raise InvalidData(f"the {kind.name} file holds no sound")
    samples = np.concatenate(parts)
    if not np.isfinite(samples).all():
        raise InvalidData(f"the {kind.name} file holds samples that are no numbers")
    return samples


def encode_wav(samples: Samples, sample_rate: int) -> bytes:
    """WAV, 16 bits, of float [T] in [-1, 1]; what is beyond is clipped."""
    return _save(samples, sample_rate, "WAV")


def encode_flac(samples: Samples, sample_rate: int) -> bytes:
    """FLAC, 16 bits, of float [T] in [-1, 1]; what is beyond is clipped."""
    return _save(samples, sample_rate, "FLAC")


def _resampled(blocks: Iterator[tuple[int, Samples]], sample_rate: int) -> Iterator[Samples]:
    resampler: soxr.ResampleStream | None = None
    for rate, block in blocks:
        if rate == sample_rate:
            yield block
            continue
        resampler = resampler or soxr.ResampleStream(rate, sample_rate, 1, dtype="float32")
        yield resampler.resample_chunk(block)
    if resampler:
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def _save(samples: Samples, sample_rate: int, form: str) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, np.clip(samples, -1.0, 1.0), sample_rate, format=form, subtype="PCM_16")
    return out.getvalue()


def _blocks(data: bytes, kind: Kind, limits: Limits) -> Iterator[tuple[int, Samples]]:
    """(rate, mono samples), about a second each; the rate is the same for all."""
    with open_container(data, kind) as container:
        stream = container.streams.best("audio")
        if not isinstance(stream, av.AudioStream) or stream.codec_context is None:
            raise InvalidData(f"the {kind.name} file holds no sound that can be decoded")
        stream.codec_context.thread_count = 1  # requests and loaders are parallel already
        declared = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
        _check_seconds(declared, limits)
        planar = av.AudioResampler(format="fltp")
        rate, total = 0, 0
        waiting: list[Samples] = []
        for frame in container.decode(stream):
            if frame.layout.nb_channels > limits.max_audio_channels:
                raise TooLarge(f"{frame.layout.nb_channels} channels, where {limits.max_audio_channels} are allowed")
            rate = rate or frame.sample_rate
            if not MIN_RATE <= rate <= MAX_RATE or frame.sample_rate != rate:
                raise InvalidData(f"a sample rate of {frame.sample_rate} Hz; {MIN_RATE} to {MAX_RATE}, one a file")
            waiting.extend(_mono(part) for part in planar.resample(frame))
            total += frame.samples
            _check_seconds(total / rate, limits)
            if sum(len(part) for part in waiting) >= BLOCK_SECONDS * rate:
                yield rate, np.concatenate(waiting)
                waiting = []
        if waiting:
            yield rate, np.concatenate(waiting)
        if kind.name in EXACT and rate and total / rate < 0.95 * declared - 0.1:
            raise InvalidData(f"the {kind.name} file is cut off: {total / rate:.1f} of {declared:.1f} seconds")


def _check_seconds(seconds: float, limits: Limits) -> None:
    if seconds > limits.max_audio_seconds:
        raise TooLarge(f"{seconds:.0f} seconds of sound, where {limits.max_audio_seconds:.0f} are allowed")


def _mono(frame: av.AudioFrame) -> Samples:
    """[T] of a planar frame [C, T]. Loudspeakers without a name count the same."""
    planes = frame.to_ndarray()
    names = [channel.name for channel in frame.layout.channels]
    if len(names) <= 2 or not {"FL", "FR"} <= set(names):
        return np.asarray(planes.mean(axis=0), np.float32)
    weights = np.array([WEIGHTS.get(name, SURROUND) for name in names], np.float32)
    return np.asarray(weights @ planes / weights.sum(), np.float32)
