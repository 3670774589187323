"""Sounds as real files have them: tags and damage between the packets, any number of channels, odd values."""

import io

import av
import numpy as np
import pytest
import soundfile

from app.errors import InvalidData
from app.media.audio import decode_audio
from app.media.sniff import sniff, tags_length
from tests.fakes.media import fixture, refusal

RATE = 16000
LYRICS3 = b"LYRICSBEGIN" + b"x" * 120 + b"000131LYRICS200"
ID3 = b"ID3\4\0\0" + bytes([0, 0, 1, 0]) + b"TIT2" + bytes(124)  # 128 bytes behind the header


def wav(samples: np.ndarray, subtype: str = "PCM_16", form: str = "WAV", rate: int = RATE) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=form, subtype=subtype)
    return out.getvalue()


def packets(data: bytes, form: str) -> list[bytes]:
    with av.open(io.BytesIO(data), format=form) as container:
        return [data[p.pos : p.pos + p.size] for p in container.demux(audio=0) if p.pts is not None]


def loudest_hertz(samples: np.ndarray, rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * rate / len(samples))


@pytest.mark.parametrize("name", ["tone.mp3", "tone.aac"])
@pytest.mark.parametrize("behind", [LYRICS3, bytes(900), b"TAG" + bytes(125), ID3, b"APETAGEX" + bytes(200)])
def test_what_lies_behind_the_last_frame_changes_nothing(name: str, behind: bytes) -> None:
    expected = decode_audio(fixture(name), sample_rate=RATE)
    samples = decode_audio(fixture(name) + behind, sample_rate=RATE)
    assert len(expected) <= len(samples) <= len(expected) + 1200  # one frame, from which no padding is cut
    # But for the end, to which the padding of the last frame belongs.
    np.testing.assert_allclose(samples[: len(expected) - 1200], expected[:-1200], atol=1e-4)


@pytest.mark.parametrize(("name", "form"), [("tone.mp3", "mp3"), ("tone.aac", "aac")])
def test_bytes_between_two_frames_cost_a_frame_at_most(name: str, form: str) -> None:
    data = fixture(name)
    expected = decode_audio(data, sample_rate=RATE)
    others = packets(data, form)
    at = data.index(others[len(others) // 2])
    samples = decode_audio(data[:at] + bytes(range(26)) + data[at:], sample_rate=RATE)
    assert len(expected) - 1200 <= len(samples) <= len(expected)
    assert loudest_hertz(samples[: len(samples) // 2], RATE) == pytest.approx(440, abs=4)


def test_two_joined_files_are_played_one_after_the_other() -> None:
    data = fixture("tone.mp3")
    once, twice = (len(decode_audio(d, sample_rate=RATE)) for d in (data, data + data))
    assert 2 * once <= twice <= 2 * once + 2400  # the padding around the joint is played


def test_a_joined_file_of_another_rate_keeps_its_pitch() -> None:
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(44100) / 44100)
    other = wav(wave, "MPEG_LAYER_III", "MP3", rate=44100)
    samples = decode_audio(fixture("tone.mp3") + other, sample_rate=RATE)
    assert len(samples) == pytest.approx(2 * RATE, rel=0.08)
    assert loudest_hertz(samples[-RATE * 3 // 4 :], RATE) == pytest.approx(440, abs=3)


def test_a_damaged_packet_of_an_m4a_is_left_out() -> None:
    data = bytearray(fixture("tone.m4a"))
    expected = decode_audio(bytes(data), sample_rate=48000)
    packet = packets(bytes(data), "mp4")[20]
    at = data.index(packet)
    data[at : at + len(packet)] = b"\xff" * len(packet)
    samples = decode_audio(bytes(data), sample_rate=48000)
    assert len(expected) - 2048 <= len(samples) <= len(expected)


def test_a_file_of_nothing_but_damage_is_refused() -> None:
    data = fixture("tone.aac")
    broken = b"".join(packet[:7] + b"\xff" * (len(packet) - 7) for packet in packets(data, "aac"))
    with pytest.raises(InvalidData, match="the AAC file"):
        decode_audio(broken, sample_rate=RATE)


@pytest.mark.parametrize("tags", [ID3, ID3 * 3, ID3[:5] + b"\x10" + ID3[6:] + b"3DI" + ID3[3:10]])
@pytest.mark.parametrize("name", ["tone.flac", "tone.aac", "tone.mp3", "tone.ogg", "tone.wav"])
def test_a_sound_behind_tags_is_known_by_what_follows_them(tags: bytes, name: str) -> None:
    assert tags_length(tags + fixture(name)) == len(tags)
    assert sniff(tags + fixture(name)) == sniff(fixture(name))
    expected = decode_audio(fixture(name), sample_rate=RATE)
    np.testing.assert_array_equal(decode_audio(tags + fixture(name), sample_rate=RATE), expected)


def test_a_tag_without_an_end_is_an_mp3_without_sound() -> None:
    for data in (b"ID3", ID3[:10], ID3[:6] + b"\x7f\x7f\x7f\x7f" + bytes(100), ID3 + b"no sound"):
        assert sniff(data).name == "MP3"
        assert refusal(decode_audio, data, sample_rate=RATE).startswith("the MP3 file")


# What one loud channel of many amounts to. Only 5.1 and 7.1 have loudspeakers without being told so.
SIX, EIGHT = [1, 1, 2**0.5, 0, 0.5**0.5, 0.5**0.5], [1, 1, 2**0.5, 0, *[0.5**0.5] * 4]


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("channels", range(1, 17))
def test_any_number_of_channels_is_mixed(channels: int, subtype: str) -> None:
    weights = {6: SIX, 8: EIGHT}.get(channels, [1.0] * channels)
    for loud in range(channels):
        samples = np.zeros((400, channels))
        samples[:, loud] = 0.5
        mixed = decode_audio(wav(samples, subtype), sample_rate=RATE)
        np.testing.assert_allclose(mixed, 0.5 * weights[loud] / sum(weights), atol=1e-4)


@pytest.mark.parametrize("form", ["FLAC", "WAVEX"])
def test_eight_named_loudspeakers_are_mixed(form: str) -> None:
    samples = np.tile(np.arange(1, 9) / 16, (4000, 1))
    expected = np.dot(EIGHT, np.arange(1, 9) / 16) / sum(EIGHT)
    np.testing.assert_allclose(decode_audio(wav(samples, "PCM_16", form), sample_rate=RATE), expected, atol=1e-3)


@pytest.mark.parametrize("channels", [9, 16])
def test_planar_frames_of_many_channels_are_read(channels: int) -> None:
    samples = np.zeros((RATE, channels))
    samples[:, channels - 1] = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    mixed = decode_audio(wav(samples, "VORBIS", "OGG"), sample_rate=RATE)
    assert np.abs(mixed).max() == pytest.approx(0.5 / channels, rel=0.2)
    assert loudest_hertz(mixed, RATE) == pytest.approx(440, abs=2)


def test_silence_of_eight_channels_is_a_sound() -> None:
    assert not decode_audio(wav(np.zeros((500, 8))), sample_rate=RATE).any()


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize("value", [1.1e6, -1e10, 1e20, 1e30, 1e38])
@pytest.mark.parametrize("channels", [1, 2])
def test_absurd_samples_are_refused(subtype: str, value: float, channels: int) -> None:
    samples = np.zeros((100, channels))
    samples[50] = value * np.array([1, -1])[:channels]  # which would cancel out in the mix
    with pytest.raises(InvalidData, match=r"the WAV file contains samples that are not numbers or exceed ±1,000,000"):
        decode_audio(wav(samples, subtype), sample_rate=8000)


def test_doubles_beyond_float32_are_refused() -> None:
    with pytest.raises(InvalidData, match="exceed"):
        decode_audio(wav(np.array([0.0, 1e300]), "DOUBLE"), sample_rate=RATE)


def test_floats_at_the_scale_of_integers_are_kept() -> None:
    samples = decode_audio(wav(np.full(100, 32767.0), "FLOAT"), sample_rate=RATE)
    np.testing.assert_array_equal(samples, np.float32(32767.0))


@pytest.mark.parametrize("subtype", ["ALAW", "ULAW", "MS_ADPCM", "IMA_ADPCM"])
def test_telephone_codecs_sound_right(subtype: str) -> None:
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    samples = decode_audio(wav(wave, subtype), sample_rate=RATE)[:RATE]
    np.testing.assert_allclose(samples[100:], wave[100:], atol=0.03)  # ADPCM has to find the volume first


@pytest.mark.parametrize("name", ["tone.mp3", "tone.m4a", "tone.opus", "tone.ogg"])
def test_the_silence_that_encoders_add_is_cut_away(name: str) -> None:
    samples = decode_audio(fixture(name), sample_rate=48000)
    assert len(samples) == pytest.approx(48000, abs=1100)
    assert np.abs(samples[:480]).max() > 0.3  # the tone begins at once


def test_a_chain_of_ogg_streams_is_played_to_its_end() -> None:
    data = fixture("tone.ogg")
    assert len(decode_audio(data + data, sample_rate=RATE)) == pytest.approx(2 * RATE, abs=1200)
