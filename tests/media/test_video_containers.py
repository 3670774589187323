"""Videos as real files have them: edit lists, display matrices, pixels that are not square, damage."""

import io
import struct
from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np
import pytest

from app.errors import InvalidData, TooLarge
from app.media.limits import Limits
from app.media.video import decode_video, open_video
from tests.fakes.media import fixture

HEIGHT, WIDTH = 48, 64
Edit = tuple[int, int]  # (milliseconds shown, the first frame; -1 for a gap)


def with_edits(data: bytes, edits: Sequence[Edit]) -> bytes:
    """The MP4 with another edit list. Frames of clip.mp4 are 640 ticks long; the first one is at 1280."""
    entries = [struct.pack(">IiI", shown, 1280 + 640 * first if first >= 0 else -1, 0x10000) for shown, first in edits]
    box = b"elst" + bytes(4) + len(edits).to_bytes(4) + b"".join(entries)
    return _replaced(data, [b"moov", b"trak", b"edts"], (len(box) + 4).to_bytes(4) + box)


def _replaced(data: bytes, path: list[bytes], content: bytes) -> bytes:
    out, at = b"", 0
    while at < len(data):
        end = at + int.from_bytes(data[at : at + 4])
        body = data[at + 8 : end]
        if data[at + 4 : at + 8] == path[0]:
            body = _replaced(body, path[1:], content) if path[1:] else content
        out += (len(body) + 8).to_bytes(4) + data[at + 4 : at + 8] + body
        at = end
    return out


def with_matrix(data: bytes, a: int, b: int, c: int, d: int) -> bytes:
    """The MP4 with another display matrix."""
    at = data.index(b"tkhd") + 44
    return data[:at] + struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30) + data[at + 36 :]


def packet_spans(data: bytes) -> list[tuple[float, int, int]]:
    """(frame, start, end) of each packet of a clip of 25 frames a second."""
    with av.open(io.BytesIO(data)) as container:
        found = [p for p in container.demux(video=0) if p.pts is not None]
        return [(round(p.pts * p.time_base * 25), p.pos, p.pos + p.size) for p in found]


@pytest.mark.parametrize(
    ("edits", "frames"),
    [
        ([(400, 10)], range(10, 20)),  # neither its begin nor its end is a key frame
        ([(400, 20)], range(20, 30)),
        ([(400, 0)], range(10)),
        ([(200, 0), (200, 20)], [*range(5), *range(20, 25)]),
        ([(200, 20), (200, 0)], [*range(20, 25), *range(5)]),
        ([(200, 10), (200, 10)], [*range(10, 15)] * 2),
        ([(500, -1), (1200, 0)], range(30)),  # a delay, as a sound that begins before the picture has it
    ],
)
def test_an_edit_list_says_which_frames_are_shown(edits: list[Edit], frames: Sequence[int]) -> None:
    with open_video(fixture("clip.mp4")) as video:
        whole = video.read(range(30))
    with open_video(with_edits(fixture("clip.mp4"), edits)) as video:
        np.testing.assert_allclose(video.times, 0.04 * np.arange(len(frames)), atol=0.001)
        assert video.duration == pytest.approx(0.04 * len(frames), abs=0.001)
        np.testing.assert_array_equal(video.read(range(len(frames))), whole[list(frames)])
        np.testing.assert_array_equal(video.read([len(frames) - 1]), whole[[frames[-1]]])
        np.testing.assert_array_equal(video.read([1, 3]), whole[[frames[1], frames[3]]])


def test_a_trimmed_file_that_is_cut_off_is_refused() -> None:
    data = with_edits(fixture("clip.mp4"), [(400, 10)])
    start = data.index(b"moov") - 4
    header = data[start:]
    front = data.index(b"mdat") - 4
    # The header first, as for streaming, so that half of the frames can go.
    moved = bytearray(data[:front] + header + data[front:start])
    chunks = moved.index(b"stco")
    for entry in range(int.from_bytes(moved[chunks + 8 : chunks + 12])):
        at = chunks + 12 + 4 * entry
        moved[at : at + 4] = (int.from_bytes(moved[at : at + 4]) + len(header)).to_bytes(4)
    assert len(decode_video(bytes(moved), frames=2).frames) == 2
    with pytest.raises(InvalidData, match=r"the MP4 file is cut off: it has \d+ of 30 frames"):
        decode_video(bytes(moved[: len(moved) // 2 + len(header) // 2]), frames=2)


@pytest.mark.parametrize(
    ("matrix", "undo"),
    [
        ((1, 0, 0, 1), lambda p: p),
        ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
        ((1, 0, 0, -1), lambda p: p[::-1]),
        ((-1, 0, 0, -1), lambda p: p[::-1, ::-1]),
        ((0, 1, 1, 0), lambda p: p.swapaxes(0, 1)),
        ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
        ((0, -1, 1, 0), lambda p: np.rot90(p)),
        ((0, -1, -1, 0), lambda p: p[::-1, ::-1].swapaxes(0, 1)),
    ],
)
def test_every_display_matrix_is_undone(matrix: tuple[int, int, int, int], undo: object) -> None:
    # The right pictures are those of FFmpeg's program, which turns and mirrors by itself.
    with open_video(fixture("clip.mp4")) as video:
        stored = video.read([0])[0]
    with open_video(with_matrix(fixture("clip.mp4"), *matrix)) as video:
        upright = undo(stored)
        assert (video.height, video.width) == upright.shape[:2]
        np.testing.assert_array_equal(video.read([0])[0], upright)
        assert video.read([0], short_side=24)[0].shape == (*tuple(n // 2 for n in upright.shape[:2]), 3)


def clip_with_aspect(aspect: str) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(aspect)
        frame = av.VideoFrame.from_ndarray(np.full((HEIGHT, WIDTH, 3), 90, np.uint8), format="rgb24")
        container.mux([*stream.encode(frame), *stream.encode()])
    return out.getvalue()


@pytest.mark.parametrize(("aspect", "size"), [("1/1", (48, 64)), ("3/2", (48, 96)), ("2/3", (72, 64))])
def test_pixels_become_square(aspect: str, size: tuple[int, int]) -> None:
    data = clip_with_aspect(aspect)
    with open_video(data) as video:
        assert (video.height, video.width) == size
        assert video.read([0])[0].shape == (*size, 3)
    with open_video(with_matrix(data, 0, 1, -1, 0)) as video:  # turned on its side
        assert (video.height, video.width) == size[::-1]


def test_pixels_of_an_absurd_shape_are_limited() -> None:
    with pytest.raises(TooLarge, match="a frame has 1280 × 48 pixels; the limit is 60000"):
        decode_video(clip_with_aspect("20/1"), frames=1, limits=Limits(max_video_pixels=60_000))


def test_damaged_frames_are_replaced_by_the_next_good_one() -> None:
    data = bytearray(fixture("clip.mp4"))
    with open_video(bytes(data)) as video:
        whole = video.read(range(30))
    for number, start, end in packet_spans(bytes(data)):
        if number in (13, 14):
            data[start + 4 : end] = bytes(end - start - 4)
    with open_video(bytes(data)) as video:
        frames = video.read(range(30))
        np.testing.assert_array_equal(frames[:12], whole[:12])
        np.testing.assert_array_equal(frames[24:], whole[24:])
        assert len(np.unique(frames[12:24, 24, 32, 0])) > 1
        for index in (13, 14, 15, 23):
            np.testing.assert_array_equal(video.read([index])[0], frames[index])


def test_where_no_good_frame_follows_the_last_one_stays() -> None:
    data = bytearray(fixture("clip.mp4"))
    with open_video(bytes(data)) as video:
        whole = video.read(range(30))
    for number, start, end in packet_spans(bytes(data)):
        if number > 26:
            data[start + 4 : end] = b"\xff" * (end - start - 4)
    with open_video(bytes(data)) as video:
        frames = video.read(range(30))
        np.testing.assert_array_equal(frames[:26], whole[:26])
        np.testing.assert_array_equal(video.read([29])[0], frames[29])


def test_a_video_of_nothing_but_damage_is_refused() -> None:
    data = bytearray(fixture("clip.mp4"))
    for _, start, end in packet_spans(bytes(data)):
        data[start:end] = b"\xff" * (end - start)
    with pytest.raises(InvalidData, match="the MP4 file is broken"):
        decode_video(bytes(data), frames=2)
