import io
import os
import re
from fractions import Fraction

import av
import numpy as np
import pytest

from app.errors import AppError, InvalidData, TooLarge
from app.media.frames import Strip, clip_indices, even_indices, spans, strided_indices
from app.media.images import encode_animated_webp
from app.media.limits import Limits
from app.media.video import decode_video, encode_mp4, open_video
from tests.fakes.media import VIDEOS, fixture, refusal

CORNERS = np.array([[230, 20, 20], [20, 200, 20], [20, 20, 230], [255, 255, 255]])  # clockwise from the top left
REGULAR = ["clip.mp4", "clip.webm"]  # 30 frames, 25 a second, each brighter by 3


def corners(frame: np.ndarray) -> np.ndarray:
    return np.stack([frame[4, 4], frame[4, -5], frame[-5, -5], frame[-5, 4]]).astype(int)


def brightness(frames: np.ndarray) -> np.ndarray:
    """Of the ramp in the middle: rises with the number of the frame."""
    return frames[:, 20:28, 20:40].mean(axis=(1, 2, 3))


@pytest.mark.parametrize("name", VIDEOS)
def test_every_kind_becomes_a_clip(name: str) -> None:
    clip = decode_video(fixture(name), frames=8)
    height, width = (64, 48) if name.startswith("turned") else (48, 64)
    assert clip.frames.shape == (8, height, width, 3) and clip.frames.dtype == np.uint8
    assert clip.times.shape == (8,) and (np.diff(clip.times) >= 0).all()


@pytest.mark.parametrize("name", [n for n in VIDEOS if n != "turned.mp4"])
def test_colours_and_directions_are_those_that_a_person_sees(name: str) -> None:
    frames = decode_video(fixture(name), frames=2).frames
    assert np.abs(corners(frames[0]) - CORNERS).max() < 45


def test_a_video_is_turned_as_it_says() -> None:
    # The file asks for a quarter turn counter-clockwise: what was at the right is on top.
    frames = decode_video(fixture("turned.mp4"), frames=1).frames
    assert np.abs(corners(frames[0]) - CORNERS[[1, 2, 3, 0]]).max() < 45


@pytest.mark.parametrize("name", [n for n in VIDEOS if n.startswith("animated")])
def test_animations_are_read_in_any_order(name: str) -> None:
    with open_video(fixture(name)) as video:
        whole = video.read(range(8))
        for indices in ([3, 4], [2, 3], [7], [0], [5, 1]):
            np.testing.assert_array_equal(video.read(indices), whole[indices])


@pytest.mark.parametrize("name", REGULAR)
def test_every_frame_is_found_by_its_number_in_any_order(name: str) -> None:
    with open_video(fixture(name)) as video:
        assert len(video.times) == 30 and video.duration == pytest.approx(1.2, abs=0.01)
        np.testing.assert_allclose(video.times, 0.04 * np.arange(30), atol=0.002)
        whole = video.read(range(30))
        steps = brightness(whole)
        assert np.abs(steps - steps[0] - 3 * np.arange(30)).max() < 3
        for indices in ([29], [0], [13, 14, 15], [5, 25, 5, 3], [11, 12, 23, 24]):
            np.testing.assert_array_equal(video.read(indices), whole[indices])


def test_what_lies_before_a_key_frame_is_not_decoded() -> None:
    data = bytearray(fixture("clip.mp4"))
    with open_video(bytes(data)) as video:
        whole = video.read(range(30))
    with av.open(io.BytesIO(data)) as container:
        for packet in list(container.demux(video=0)):
            number = -1 if packet.pts is None else round(packet.pts * packet.time_base * 25)
            if 11 < number < 22:  # between two key frames
                data[packet.pos + 4 : packet.pos + packet.size] = bytes(packet.size - 4)
    with open_video(bytes(data)) as video:
        np.testing.assert_array_equal(video.read([22, 29]), whole[[22, 29]])


def test_even_sampling_follows_the_clock_where_the_rate_varies() -> None:
    clip = decode_video(fixture("variable.mp4"), frames=6)
    # Ten frames lie in the first fifth of a second; then there are two a second.
    np.testing.assert_allclose(clip.times, [0.18, 0.5, 1.0, 1.5, 2.0, 2.5], atol=0.01)


def test_a_stride_counts_frames() -> None:
    clip = decode_video(fixture("clip.mp4"), frames=4, stride=3, start=0.2)
    np.testing.assert_allclose(clip.times, [0.2, 0.32, 0.44, 0.56], atol=0.001)


def test_times_of_an_animation_are_its_own() -> None:
    for name in ("animated.gif", "animated.webp", "animated.png"):
        with open_video(fixture(name)) as video:
            np.testing.assert_allclose(video.times, 0.1 * np.arange(8), atol=1e-6)
            assert video.duration == pytest.approx(1.2)


def test_where_frames_are_few_they_repeat() -> None:
    times = np.array([0.0, 0.5])
    assert even_indices(times, 1.0, 4) == [0, 0, 1, 1]
    assert even_indices(times, 1.0, 4, start=0.6) == [1, 1, 1, 1]
    assert strided_indices(times, 1.0, 4, stride=2) == [0, 0, 1, 1]
    assert strided_indices(np.arange(8.0), 8.0, 3, stride=2, start=2.5) == [2, 4, 6]
    assert strided_indices(np.arange(8.0), 8.0, 3, stride=3, start=2.0) == [3, 5, 7]
    assert even_indices(times, 1.0, 2, start=9.0) == [1, 1]


def test_frames_are_shrunk_to_a_short_side_but_never_enlarged() -> None:
    for name, shape in (("clip.mp4", (24, 32)), ("turned.mp4", (32, 24)), ("animated.gif", (24, 32))):
        small = decode_video(fixture(name), frames=2, short_side=24)
        assert small.frames.shape == (2, *shape, 3)
        same = decode_video(fixture(name), frames=2, short_side=4000)
        assert min(same.frames.shape[1:3]) == 48


@pytest.mark.parametrize("shape", [(5, 48, 64, 3), (3, 31, 33, 3), (2, 16, 16, 1), (1, 8, 8, 3)])
def test_mp4_gives_back_what_it_got(shape: tuple[int, ...]) -> None:
    ramp = np.linspace(30, 220, shape[2]).astype(np.uint8)
    frames = np.broadcast_to(ramp[:, None], shape) // np.arange(1, shape[0] + 1, dtype=np.uint8)[:, None, None, None]
    data = encode_mp4(frames, fps=12.5)
    with open_video(data) as video:
        back = video.read(range(len(video.times)))
    assert back.shape == (shape[0], shape[1] + shape[1] % 2, shape[2] + shape[2] % 2, 3)
    np.testing.assert_allclose(video.times, np.arange(shape[0]) / 12.5, atol=0.001)
    assert np.abs(back[:, : shape[1], : shape[2]].astype(int) - frames).mean() < 4


def test_an_animated_webp_is_a_video() -> None:
    frames = np.stack([np.full((6, 8, 3), 25 * i, np.uint8) for i in range(10)])
    clip = decode_video(encode_animated_webp(frames, fps=8), frames=10, stride=1)
    assert np.abs(clip.frames.astype(int) - frames).max() < 4
    np.testing.assert_allclose(clip.times, np.arange(10) / 8, atol=0.001)


def test_only_frames_are_encoded() -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        encode_mp4(np.zeros((0, 4, 4, 3), np.uint8), fps=8)


@pytest.mark.parametrize("name", VIDEOS)
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_file_cut_off_is_refused_or_shown_up_to_there(name: str, part: float) -> None:
    data = fixture(name)
    message = refusal(decode_video, data[: int(len(data) * part)], frames=4)
    assert re.search("^$|cut off|contains no|expected a video", message)


@pytest.mark.parametrize("name", VIDEOS)
def test_broken_bytes_raise_nothing_else(name: str) -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        data = np.frombuffer(fixture(name), np.uint8).copy()
        data[generator.integers(12, len(data), 6)] = generator.integers(0, 256, 6)
        refusal(decode_video, data.tobytes(), frames=4)


@pytest.mark.parametrize("name", VIDEOS)
@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(max_video_pixels=48 * 64 - 1), "pixels|broken"),
        (Limits(max_video_frames=7), "more than 7 frames"),
        (Limits(max_video_seconds=1.0), "the video is .* seconds long"),
        (Limits(max_video_volume=48 * 64 * 7), "frames, the limit for frames of this size"),
        (Limits(max_clip_bytes=48 * 64 * 3), "2 frames of"),
    ],
)
def test_limits_hold(name: str, limits: Limits, message: str) -> None:
    with pytest.raises((TooLarge, InvalidData), match=message):
        decode_video(fixture(name), frames=2, limits=limits)


def growing() -> bytes:
    """A WebM of one frame of 16 × 16 pixels and then one of 256 × 256."""
    out = io.BytesIO()
    with av.open(out, "w", format="webm") as container:
        stream = container.add_stream("libvpx-vp9", rate=25)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        for index, size in enumerate((16, 256)):
            encoder = av.CodecContext.create("libvpx-vp9", "w")
            encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = size, size, "yuv420p", Fraction(1, 25)
            frame = av.VideoFrame.from_ndarray(np.zeros((size, size, 3), np.uint8), format="rgb24")
            for packet in [*encoder.encode(frame), *encoder.encode()]:
                packet.pts = packet.dts = index
                packet.stream, packet.time_base = stream, Fraction(1, 25)
                container.mux(packet)
    return out.getvalue()


def test_a_frame_that_is_larger_than_those_before_is_shrunk_or_refused_before_it_is_allocated() -> None:
    assert decode_video(growing(), frames=2, stride=1).frames.shape == (2, 16, 16, 3)
    with pytest.raises(InvalidData, match="broken"):  # so says the decoder; there is no frame to be measured
        decode_video(growing(), frames=2, stride=1, limits=Limits(max_video_pixels=16 * 16))


@pytest.mark.parametrize("count", [100_000, 10_000_000, 0xFFFFFFFF])
def test_a_count_of_frames_that_the_file_cannot_hold_costs_nothing(count: int) -> None:
    data = bytearray(fixture("clip.mp4"))
    sizes, chunks = data.index(b"stsz"), data.index(b"stsc")
    data[sizes + 8 : sizes + 16] = (10).to_bytes(4) + count.to_bytes(4)
    data[chunks + 16 : chunks + 20] = min(count, 0x7FFFFFFF).to_bytes(4)
    with pytest.raises(TooLarge, match=f"declares {count} samples|more than 36000 frames"):
        decode_video(bytes(data), frames=1)


def test_a_table_that_is_far_too_long_is_too_large() -> None:
    data = bytearray(fixture("clip.mp4"))
    times = data.index(b"stts")
    data[times + 8 : times + 12] = (0x7FFFFFFF).to_bytes(4)
    with pytest.raises(TooLarge, match="needs more memory than is available"):
        decode_video(bytes(data), frames=1)


def test_sound_alone_is_no_video() -> None:
    for name in ("tone.m4a", "voice.webm"):
        with pytest.raises(InvalidData, match="expected a video"):
            decode_video(fixture(name), frames=2)


def test_neither_threads_nor_files_are_left() -> None:
    tasks, files = len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))
    for name in VIDEOS:
        decode_video(fixture(name), frames=2)
        with pytest.raises(AppError):
            decode_video(fixture(name), frames=2, limits=Limits(max_video_frames=1))
    assert len(os.listdir("/proc/self/task")) <= tasks  # those of other tests may end meanwhile
    assert len(os.listdir("/proc/self/fd")) <= files


def test_parts_cover_a_video_whatever_its_length() -> None:
    assert spans(1.0, 2.0, 9) == [(0.0, 1.0)]
    assert spans(2.01, 2.0, 9) == [(0.0, 2.0)]
    assert spans(6.0, 2.0, 9) == [(0.0, 2.0), (2.0, 4.0), (4.0, 6.0)]
    assert spans(5.0, 2.0, 9) == [(0.0, 2.0), (1.5, 3.5), (3.0, 5.0)]
    assert spans(50.0, 2.0, 3) == [(0.0, 2.0), (24.0, 26.0), (48.0, 50.0)]
    assert spans(0.0, 2.0, 9) == [(0.0, 0.0)]


def test_frames_of_a_clip_are_those_on_screen_at_its_moments() -> None:
    times = np.arange(12) / 12
    assert clip_indices(times, 1.0, 4, (0.0, 1.0)) == [0, 3, 6, 9]
    assert clip_indices(times, 1.0, 4, (4 / 12, 8 / 12)) == [4, 5, 6, 7]
    assert clip_indices(times[:2], 2 / 12, 4, (0.0, 2 / 12)) == [0, 0, 1, 1]
    assert clip_indices(np.array([0.0, 0.1, 0.2, 0.9]), 1.0, 4, (0.0, 1.0)) == [1, 2, 2, 2]


def test_a_strip_is_a_video_of_its_frames() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 6, 10, 3), dtype=np.uint8)
    strip = Strip(np.concatenate(pixels, axis=1), 3, Limits())
    assert (strip.width, strip.height, strip.duration) == (10, 6, 3.0)
    assert np.array_equal(strip.read([2, 0, 1]), pixels[[2, 0, 1]])
    assert strip.read([0], short_side=3).shape == (1, 3, 5, 3)
    with pytest.raises(InvalidData, match="30 pixels wide is not a strip of 4"):
        Strip(np.concatenate(pixels, axis=1), 4, Limits())


def test_the_same_frames_give_the_same_file() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(128, 90, (4, 32, 32, 3)).clip(0, 255).astype(np.uint8)
    files = set()
    for _ in range(20):
        memory = [np.full(int(rng.integers(100, 300_000)), rng.integers(256), np.uint8) for _ in range(6)]
        files.add(encode_mp4(noise, fps=8))
        del memory
    assert len(files) == 1
