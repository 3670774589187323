import io
import re
import threading

import numpy as np
import pytest
import soundfile

from app.errors import InvalidData, TooLarge
from app.media.audio import decode_audio, encode_flac, encode_wav
from app.media.limits import Limits
from tests.fakes.media import SOUNDS, fixture, refusal


def wav(samples: np.ndarray, rate: int = 8000, subtype: str = "PCM_16", form: str = "WAV") -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=form, subtype=subtype)
    return out.getvalue()


def loudest_hertz(samples: np.ndarray, rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * rate / len(samples))


@pytest.mark.parametrize("name", SOUNDS)
@pytest.mark.parametrize("rate", [8000, 16000, 22050, 48000])
def test_every_kind_sounds_the_same_at_every_rate(name: str, rate: int) -> None:
    samples = decode_audio(fixture(name), sample_rate=rate)
    assert samples.dtype == np.float32 and samples.ndim == 1
    assert len(samples) == pytest.approx(rate, rel=0.08)  # lossy codecs pad
    assert loudest_hertz(samples, rate) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("name", ["tone.flac", "tone.wav", "tone.ogg", "tone.mp3"])
def test_the_samples_are_those_of_another_decoder(name: str) -> None:
    expected, rate = soundfile.read(io.BytesIO(fixture(name)), dtype="float32")
    samples = decode_audio(fixture(name), sample_rate=rate)
    length = min(len(samples), len(expected))
    np.testing.assert_allclose(samples[:length], expected[:length], atol=2e-4)


def test_stereo_is_the_mean_and_surround_the_weighted_mix() -> None:
    one_side = decode_audio(fixture("stereo.flac"), sample_rate=44100)
    assert np.abs(one_side).max() == pytest.approx(0.25, abs=0.01)
    # The centre alone, of 1 + 1 + √2 + 2 / √2; the low-frequency channel is not heard.
    centre = decode_audio(fixture("surround.flac"), sample_rate=8000)
    assert np.abs(centre).max() == pytest.approx(0.5 * 2**0.5 / (2 + 2 * 2**0.5), abs=0.01)
    assert abs(centre.mean()) < 0.001


@pytest.mark.parametrize("form", ["OGG", "FLAC", "WAVEX"])
def test_loudspeakers_are_known_by_name_in_every_container(form: str) -> None:
    # Ogg has the low frequencies last, the others have them fourth.
    loud = np.zeros((8000, 6))
    loud[:, 5 if form == "OGG" else 3] = 0.5
    assert (
        np.abs(decode_audio(wav(loud, 8000, "VORBIS" if form == "OGG" else "PCM_16", form), sample_rate=8000)).max()
        < 0.01
    )


def test_loudspeakers_without_names_count_the_same() -> None:
    samples = np.tile([0.5, 0.0, 0.0, 0.0, 0.0], (100, 1))
    np.testing.assert_allclose(decode_audio(wav(samples), sample_rate=8000), 0.1, atol=1e-4)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_every_width_of_samples(subtype: str) -> None:
    wave = 0.5 * np.sin(np.arange(4000) / 10)
    np.testing.assert_allclose(decode_audio(wav(wave, 8000, subtype), sample_rate=8000), wave, atol=0.02)


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_are_numbers(subtype: str, value: float) -> None:
    with pytest.raises(InvalidData, match="not numbers"):
        decode_audio(wav(np.array([0.0, value, 0.0]), 8000, subtype), sample_rate=8000)


@pytest.mark.parametrize("encode", [encode_wav, encode_flac])
def test_what_is_encoded_is_decoded(encode: object) -> None:
    wave = (1.2 * np.sin(np.arange(4000) / 10)).astype(np.float32)
    back = decode_audio(encode(wave, 16000), sample_rate=16000)
    np.testing.assert_allclose(back, wave.clip(-1, 1), atol=1e-4)


@pytest.mark.parametrize("name", SOUNDS)
@pytest.mark.parametrize("part", [0.02, 0.5, 0.9])
def test_a_file_cut_off_is_refused_or_played_up_to_there(name: str, part: float) -> None:
    data = fixture(name)
    message = refusal(decode_audio, data[: int(len(data) * part)], sample_rate=8000)
    assert re.search("^$|cut off|contains no sound|expected audio", message)


def test_a_length_that_is_not_there_is_told_where_the_header_has_it() -> None:
    data = fixture("tone.flac")
    with pytest.raises(InvalidData, match="cut off"):
        decode_audio(data[: len(data) // 2], sample_rate=8000)
    data = fixture("tone.wav")
    assert len(decode_audio(data[: 44 + 8000], sample_rate=8000)) == 4000


@pytest.mark.parametrize("name", SOUNDS)
def test_broken_bytes_raise_nothing_else(name: str) -> None:
    generator = np.random.default_rng(0)
    for _ in range(30):
        data = np.frombuffer(fixture(name), np.uint8).copy()
        data[generator.integers(4, min(len(data), 400), 6)] = generator.integers(0, 256, 6)
        refusal(decode_audio, data.tobytes(), sample_rate=16000)


def test_a_wave_file_of_unknown_length_is_read_to_its_end() -> None:
    # As recorders write it that cannot go back to fill in the sizes.
    data = bytearray(fixture("tone.wav"))
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    assert len(decode_audio(bytes(data), sample_rate=8000)) == 8000


def test_seconds_are_limited_by_the_header_and_while_decoding() -> None:
    limits = Limits(max_audio_seconds=0.9)
    for name in ("tone.flac", "tone.mp3", "tone.aac", "voice.webm"):
        with pytest.raises(TooLarge, match="seconds long"):
            decode_audio(fixture(name), sample_rate=8000, limits=limits)
    lying = bytearray(fixture("tone.flac"))
    lying[21:26] = bytes([lying[21] & 0xF0]) + bytes(4)  # the number of samples: unknown
    with pytest.raises(TooLarge, match="1 seconds"):
        decode_audio(bytes(lying), sample_rate=8000, limits=limits)
    assert len(decode_audio(bytes(lying), sample_rate=8000)) == 8000


def test_channels_are_limited() -> None:
    with pytest.raises(TooLarge, match="6 channels"):
        decode_audio(fixture("surround.flac"), sample_rate=8000, limits=Limits(max_audio_channels=5))


@pytest.mark.parametrize("rate", [1, 10_000_000])
def test_absurd_sample_rates_are_refused(rate: int) -> None:
    with pytest.raises(InvalidData, match="the sample rate is"):
        decode_audio(wav(np.zeros(100), rate), sample_rate=8000)


def test_silence_without_length_is_no_sound() -> None:
    with pytest.raises(InvalidData, match="contains no sound"):
        decode_audio(wav(np.zeros(0)), sample_rate=8000)


def test_a_sound_too_short_for_the_rate_is_no_sound() -> None:
    with pytest.raises(InvalidData, match="contains no sound"):
        decode_audio(wav(np.ones(1), 44100), sample_rate=16000)
    assert len(decode_audio(wav(np.ones(1), 44100), sample_rate=44100)) == 1


def test_threads_may_decode_at_once_and_none_is_left() -> None:
    data = fixture("tone.ogg")
    expected = decode_audio(data, sample_rate=16000)
    before, results = threading.active_count(), []
    threads = [threading.Thread(target=lambda: results.append(decode_audio(data, sample_rate=16000))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4 and all((r == expected).all() for r in results)
    assert threading.active_count() == before


def test_nothing_is_written_to_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    for name in SOUNDS:
        refusal(decode_audio, fixture(name)[:60] + bytes(500), sample_rate=8000)
    assert capfd.readouterr() == ("", "")
