import numpy as np
import pytest

from app.errors import InvalidData, InvalidValue
from app.media.video import open_video
from app.modalities.reconstruction import MaskRequest
from app.modalities.video.processor import MAX_WINDOWS, VideoProcessor
from tests.fakes.media import VIDEOS, fixture
from tests.fakes.tiny_videos import FRAMES, GRID, SIZE, frames, lossless, mp4

READER = VideoProcessor(GRID, stride=1)


@pytest.mark.parametrize("name", VIDEOS)
@pytest.mark.parametrize("squeeze", [True, False])
def test_every_kind_of_video_becomes_clips(name: str, squeeze: bool) -> None:
    given = VideoProcessor(GRID, squeeze, stride=2).read(fixture(name))
    assert given.windows.shape[1:] == (FRAMES, SIZE, SIZE, 3) and given.windows.dtype == np.float32
    assert given.windows.min() >= 0 and given.windows.max() <= 1
    assert given.times and len(given.times) == len(given.windows)
    with open_video(fixture(name)) as video:
        assert given.times[0][0] == 0 and given.times[-1][1] == pytest.approx(video.duration)


def test_a_still_image_is_no_video() -> None:
    with pytest.raises(InvalidData, match="found JPEG"):
        READER.read(fixture("photo.jpg"))


def numbered(count: int) -> np.ndarray:
    """Frames of which each is of one grey, its number."""
    return np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, SIZE, SIZE, 3)).copy()


def seen(processor: VideoProcessor, count: int, fps: float = 10) -> list[list[int]]:
    """The numbers of the frames in each clip."""
    clips = processor.read(lossless(numbered(count), fps)).windows
    return np.round(clips[:, :, 0, 0, 0] * 255).astype(int).tolist()


def test_a_stride_passes_over_frames_and_long_videos_have_several_clips() -> None:
    assert seen(READER, 8) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert seen(READER, 4) == [[0, 1, 2, 3]]
    assert seen(READER, 2) == [[0, 0, 1, 1]]
    assert seen(VideoProcessor(GRID, stride=2), 16) == [[0, 2, 4, 6], [8, 10, 12, 14]]
    assert seen(READER, 6) == [[0, 1, 2, 3], [2, 3, 4, 5]]  # the last one ends with the video
    assert len(seen(READER, 4 * MAX_WINDOWS + 20)) == MAX_WINDOWS


def test_a_frame_rate_makes_all_videos_pass_equally_fast() -> None:
    processor = VideoProcessor(GRID, stride=1, frame_rate=5)
    assert seen(processor, 16, fps=20) == [[0, 4, 8, 12]]
    assert seen(processor, 8, fps=10) == [[0, 2, 4, 6]]


def test_frames_are_found_by_their_times() -> None:
    # Ten frames in the first fifth of a second, then two a second: brighter by three with each.
    given = VideoProcessor(GRID, frame_rate=1).read(fixture("variable.mp4"))
    [clip] = given.windows
    brightness = clip[:, 12:20, 12:20].mean((1, 2, 3)) * 255
    with open_video(fixture("variable.mp4")) as video:
        moments = np.arange(FRAMES) / FRAMES * video.duration + video.duration / len(video.times) / 2
        numbers = np.searchsorted(video.times, moments, side="right") - 1
    assert np.abs(np.diff(brightness) - 3 * np.diff(numbers)).max() < 2


def place(given: MaskRequest, **shape: int) -> np.ndarray:
    return READER.place(given, READER.read(mp4(count=8, fps=4, width=64, height=32)))


def test_boxes_are_in_pixels_and_ranges_in_seconds() -> None:
    # Of 64 × 32 pixels the middle half is seen; two clips of a second, each of two tubelets of half a second.
    box, moment = (16.0, 0.0, 24.0, 8.0), (0.6, 1.1)
    boxed = place(MaskRequest(boxes=(box,)))
    assert boxed.shape == (2, *GRID.shape)
    assert boxed[:, :, 0, 0].all() and boxed.sum() == 4
    timed = place(MaskRequest(ranges=(moment,)))
    assert timed.all((2, 3)).tolist() == timed.any((2, 3)).tolist() == [[False, True], [True, False]]
    both = place(MaskRequest(boxes=(box,), ranges=(moment,)))
    assert np.array_equal(both, boxed & timed)


@pytest.mark.parametrize("span", [(0.5, 0.5), (-1.0, 0.5), (0.5, 2.5), (float("nan"), 1.0)])
def test_ranges_outside_the_video_are_refused(span: tuple[float, float]) -> None:
    with pytest.raises(InvalidValue, match="the video's 2 seconds") as error:
        place(MaskRequest(ranges=(span,)))
    assert error.value.param == "ranges"


def test_boxes_outside_the_picture_are_refused() -> None:
    with pytest.raises(InvalidValue, match="64 × 32 pixels"):
        place(MaskRequest(boxes=((0, 0, 65, 8),)))


def test_the_contact_sheet_has_three_rows_of_frames() -> None:
    clip = frames(count=12, width=32, height=32) / np.float32(255)
    mask = np.zeros(clip.shape[:3], bool)
    mask[:, :8, :8] = True
    sheet = READER.panels(clip.astype(np.float32), mask, 1 - clip.astype(np.float32))
    assert sheet.shape == (3 * 128 + 2 * 4, 8 * 128 + 7 * 4, 3)
    original, masked, predicted = (sheet[start : start + 128, :128] for start in (0, 132, 264))
    assert (masked[:32, :32] == 128).all() and np.array_equal(masked[32:], original[32:])
    assert np.abs(255 - original.astype(int) - predicted).max() <= 1


def test_the_example_can_be_read() -> None:
    assert READER.read(READER.example()).windows.shape == (1, FRAMES, SIZE, SIZE, 3)
