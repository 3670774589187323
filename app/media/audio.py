"""Audio: bytes ↔ float32 arrays in [-1, 1]."""

import io
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import av
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from app.errors import InvalidData, TooLarge
from app.media.containers import decode_frames, open_container
from app.media.limits import DEFAULT_LIMITS, Limits
from app.media.sniff import FLAC, M4A, Kind, decoder_errors, expect
from app.types import ModalityName

Samples = NDArray[np.float32]

MIN_RATE, MAX_RATE = 1000, 768_000
MAX_CHANGES = 64  # of the rate or the channels within one file; each change starts a resampler
MAX_SAMPLE = 1e6  # full scale is 1; allows floats at the scale of 16-bit integers, and squares that fit float32
BLOCK_SECONDS = 1.0  # resampled at once
# Formats whose headers state the exact length. Files of other formats may be shorter than they declare.
EXACT = {FLAC.name, M4A.name}

# Gains of the loudspeakers in the mono mix, after ITU-R BS.775: centre and surround are added to left and right at
# -3 dB, the sum is halved, and the low-frequency effects are dropped.
WEIGHTS = {"FL": 1.0, "FR": 1.0, "FC": 2**0.5, "LFE": 0.0, "LFE2": 0.0}
SURROUND = 0.5**0.5  # every other loudspeaker
# The loudspeakers that players assume in files that do not name them: 5.1 and 7.1.
UNNAMED = {6: ("FL", "FR", "FC", "LFE", "BL", "BR"), 8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR")}


@dataclass(frozen=True, slots=True)
class _Frame:
    """Samples [T, C] at `rate` Hz. `channels` names the loudspeakers; an unknown one is "NONE"."""

    rate: int
    channels: tuple[str, ...]
    samples: Samples


def decode_audio(data: bytes, *, sample_rate: int, limits: Limits = DEFAULT_LIMITS) -> Samples:
    """Decodes a sound to mono float32 [T] at `sample_rate` (Hz), T = seconds × rate.

    Resamples with soxr HQ and mixes all channels. Skips damaged packets, as players do. Checks the limits during
    decoding, because headers may be wrong. Raises InvalidData and TooLarge.
    """
    kind = expect(data, ModalityName.AUDIO, limits)
    with decoder_errors(kind):
        parts = list(_resample(_decode_frames(data, kind, limits), kind, sample_rate))
    if not any(map(len, parts)):  # one or two samples may vanish when resampled to a lower rate
        raise InvalidData(f"the {kind.name} file contains no sound")
    return np.concatenate(parts)


def encode_wav(samples: Samples, sample_rate: int) -> bytes:
    """Encodes float samples [T] as 16-bit WAV. Values outside [-1, 1] are clipped."""
    return _encode(samples, sample_rate, "WAV")


def encode_flac(samples: Samples, sample_rate: int) -> bytes:
    """Encodes float samples [T] as 16-bit FLAC. Values outside [-1, 1] are clipped."""
    return _encode(samples, sample_rate, "FLAC")


def _resample(frames: Iterator[_Frame], kind: Kind, sample_rate: int) -> Iterator[Samples]:
    """Resamples and mixes each run of frames with the same rate and channels. Most files have one run."""
    for changes, ((rate, channels), run) in enumerate(itertools.groupby(frames, key=lambda f: (f.rate, f.channels))):
        if changes > MAX_CHANGES:
            raise InvalidData(f"the sample rate or the channels change more than {MAX_CHANGES} times")
        blocks = (_mix(block, channels) for block in _join_frames(run, kind, round(BLOCK_SECONDS * rate)))
        if rate == sample_rate:
            yield from blocks
            continue
        resampler = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32")
        for block in blocks:
            yield resampler.resample_chunk(block)
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def _join_frames(frames: Iterable[_Frame], kind: Kind, length: int) -> Iterator[Samples]:
    """Joins short frames into blocks [T, C] of at least `length` samples."""
    waiting: list[Samples] = []
    total = 0
    for frame in frames:
        _check_samples(frame.samples, kind)
        waiting.append(frame.samples)
        total += len(frame.samples)
        if total >= length:
            yield np.concatenate(waiting)
            waiting, total = [], 0
    if waiting:
        yield np.concatenate(waiting)


def _check_samples(samples: Samples, kind: Kind) -> None:
    if samples.size and not max(samples.max(), -samples.min()) <= MAX_SAMPLE:  # `not`: also true for NaN
        raise InvalidData(
            f"the {kind.name} file contains samples that are not numbers or exceed ±{MAX_SAMPLE:,.0f}; full scale is ±1"
        )


def _mix(samples: Samples, channels: tuple[str, ...]) -> Samples:
    """Mixes samples [T, C] to mono [T]. Unnamed loudspeakers have equal gains, except in 5.1 and 7.1 layouts."""
    if set(channels) == {"NONE"}:
        channels = UNNAMED.get(len(channels), channels)
    surround = len(channels) > 2 and {"FL", "FR"} <= set(channels)
    weights = [WEIGHTS.get(name, SURROUND) if surround else 1.0 for name in channels]
    mixed = np.zeros(len(samples), np.float32)
    for channel, weight in enumerate(weights):
        mixed += np.float32(weight / sum(weights)) * samples[:, channel]
    return mixed


def _encode(samples: Samples, sample_rate: int, form: str) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, np.clip(samples, -1.0, 1.0), sample_rate, format=form, subtype="PCM_16")
    return out.getvalue()


def _decode_frames(data: bytes, kind: Kind, limits: Limits) -> Iterator[_Frame]:
    """Decodes the file frame by frame. Raises InvalidData and TooLarge."""
    with open_container(data, kind) as container:
        stream = container.streams.best("audio")
        if not isinstance(stream, av.AudioStream) or stream.codec_context is None:
            raise InvalidData(f"the {kind.name} file contains no sound that can be decoded")
        stream.codec_context.thread_count = 1  # requests and loaders already run in parallel
        declared = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
        _check_seconds(declared, limits)
        seconds = 0.0
        packer = _Packer()
        for frame in decode_frames(container, stream):
            if not MIN_RATE <= frame.sample_rate <= MAX_RATE:
                raise InvalidData(
                    f"the sample rate is {frame.sample_rate} Hz; supported are {MIN_RATE} to {MAX_RATE} Hz"
                )
            if frame.layout.nb_channels > limits.max_audio_channels:
                raise TooLarge(
                    f"the sound has {frame.layout.nb_channels} channels; the limit is {limits.max_audio_channels}"
                )
            seconds += frame.samples / frame.sample_rate
            _check_seconds(seconds, limits)
            yield packer.pack(frame)
        if kind.name in EXACT and seconds and seconds < 0.95 * declared - 0.1:
            raise InvalidData(f"the {kind.name} file is cut off: it has {seconds:.1f} of {declared:.1f} seconds")


def _check_seconds(seconds: float, limits: Limits) -> None:
    if seconds > limits.max_audio_seconds:
        raise TooLarge(f"the sound is {seconds:.0f} seconds long; the limit is {limits.max_audio_seconds:.0f} seconds")


class _Packer:
    """Converts frames of any format to packed float32, in which the channels are interleaved.

    Planar frames of more than seven channels must not be converted to numpy: PyAV counts their planes beyond the end
    of FFmpeg's table and reads invalid memory.
    """

    def __init__(self) -> None:
        self._resampler = av.AudioResampler(format="flt")
        self._format: tuple[str, str, int] | None = None
        self._channels: tuple[str, ...] = ()

    def pack(self, frame: av.AudioFrame) -> _Frame:
        found = (frame.format.name, frame.layout.name, frame.sample_rate)
        if found != self._format:  # a resampler accepts one input format only
            self._resampler, self._format = av.AudioResampler(format="flt"), found
            self._channels = tuple(channel.name for channel in frame.layout.channels)
        parts = [part.to_ndarray() for part in self._resampler.resample(frame)]  # one, [1, T × C]
        samples = np.asarray(np.concatenate(parts, axis=1), np.float32).reshape(-1, len(self._channels))
        return _Frame(frame.sample_rate, self._channels, samples)
