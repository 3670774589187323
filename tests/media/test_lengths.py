from collections.abc import Callable

import pytest

from app.errors import TooLarge
from app.media.accepted import IMAGES
from app.media.audio import decode_audio
from app.media.lengths import Length, sound_length, video_length
from app.media.limits import DEFAULT_LIMITS, Limits
from app.media.video import open_video
from tests.fakes.media import SOUNDS, VIDEOS, fixture, refusal


@pytest.mark.parametrize("name", SOUNDS)
def test_a_sound_is_as_long_as_its_file_says(name: str) -> None:
    data = fixture(name)
    found = sound_length(data, DEFAULT_LIMITS)
    assert found.frames == 1
    assert found.seconds == pytest.approx(len(decode_audio(data, sample_rate=8000)) / 8000, abs=0.03)


@pytest.mark.parametrize("name", VIDEOS)
def test_a_video_has_the_frames_that_its_file_says(name: str) -> None:
    data = fixture(name)
    found = video_length(data, DEFAULT_LIMITS)
    with open_video(data) as video:
        assert found.frames == len(video.times)
        assert found.seconds == pytest.approx(video.duration, rel=0.35)  # frames of which each has a time of its own


def test_a_recording_without_a_duration_is_as_long_as_its_packets() -> None:
    data = fixture("voice.webm")
    declared = data.index(b"\x44\x89\x88")  # Duration, a float of eight bytes
    unknown = data[:declared] + b"\xec\x89" + data[declared + 2 :]  # Void, as long
    found = sound_length(unknown, DEFAULT_LIMITS)
    assert found.seconds == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(("name", "length"), [("tone.flac", sound_length), ("clip.mp4", video_length)])
def test_what_is_too_long_or_cut_off_is_told(name: str, length: Callable[[bytes, Limits], Length]) -> None:
    data = fixture(name)
    limits = Limits(max_audio_seconds=0.5, max_video_seconds=0.5)
    with pytest.raises(TooLarge, match="1 seconds long; the limit is 0"):
        length(data, limits)
    assert refusal(lambda cut: length(cut, DEFAULT_LIMITS), data[:40])


def test_an_image_is_one_frame() -> None:
    assert IMAGES.length is None
    assert Length() == Length(seconds=0.0, frames=1)
