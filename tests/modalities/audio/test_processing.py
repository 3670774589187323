import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.errors import InvalidData, InvalidModel, InvalidValue
from app.modalities.audio.processor import FILE, AudioProcessor, is_audio, load_processor
from app.modalities.patch.grid import PatchGrid
from app.modalities.reconstruction import MaskRequest
from tests.fakes.media import SOUNDS, fixture
from tests.fakes.tiny_audio import FRAMES, MEL, PATCH, RATE, WINDOW, sound

GRID = PatchGrid((FRAMES, MEL.n_mels), (PATCH, PATCH), 1)
READER = AudioProcessor(GRID, MEL)


@pytest.mark.parametrize("seconds", [1 / RATE, 0.05, 0.4, 0.41, 1.0])
@pytest.mark.parametrize("rate", [RATE, 44100])
def test_any_length_at_any_rate_becomes_windows(seconds: float, rate: int) -> None:
    given = READER.read(sound(0, seconds, rate))
    assert given.windows.shape == (np.ceil(round(seconds * 100, 6) / FRAMES) or 1, FRAMES, MEL.n_mels, 1)
    assert given.windows.dtype == np.float32 and given.windows.min() >= 0 and given.windows.max() <= 1
    assert given.length == MEL.frames(len(given.info.samples))
    joined = np.concatenate(given.windows)
    assert joined[: given.length].any(axis=(1, 2)).all() and not joined[given.length :].any()


def test_windows_know_their_times_and_what_is_padding() -> None:
    given = READER.read(sound(0, 1.05))
    assert given.times == (pytest.approx((0, WINDOW)), pytest.approx((WINDOW, 0.8)), pytest.approx((0.8, 1.05)))
    assert given.rows(GRID) == [5, 5, 4]  # 25 frames touch 4 patches of 8


@pytest.mark.parametrize("name", SOUNDS)
def test_every_kind_of_file_is_read(name: str) -> None:
    given = READER.read(fixture(name))
    loudest = np.concatenate(given.windows)[20:80, :, 0].mean(0).argmax()
    centres = MEL.filters.argmax(0) * RATE / MEL.n_fft
    assert name == "surround.flac" or abs(centres[loudest] - 440) < 120


def test_what_is_no_sound_is_refused() -> None:
    for content in (b"no sound", fixture("photo.png"), fixture("tone.flac")[:50]):
        with pytest.raises(InvalidData):
            READER.read(content)


@pytest.mark.parametrize(
    ("span", "rows"), [((0, 0.01), [0]), ((0.08, 0.16), [1]), ((0.35, 0.45), [4, 5]), ((0.85, 1.0), [10, 11, 12])]
)
def test_ranges_are_seconds_of_the_whole_sound(span: tuple[float, float], rows: list[int]) -> None:
    given = READER.read(sound(0, 1.0))
    mask = READER.place(MaskRequest(ranges=(span,)), given)
    assert mask.shape == (3, 5, 2)
    assert np.flatnonzero(mask.reshape(15, 2).all(1)).tolist() == rows
    assert mask.sum() == 2 * len(rows)


@pytest.mark.parametrize("span", [(-0.1, 0.2), (0.2, 0.2), (0.5, 0.4), (0.9, 1.1), (float("nan"), 1)])
def test_ranges_beyond_the_sound_are_refused(span: tuple[float, float]) -> None:
    with pytest.raises(InvalidValue, match="1 seconds") as error:
        READER.place(MaskRequest(ranges=(span,)), READER.read(sound(0, 1.0)))
    assert error.value.param == "ranges"


def test_sounds_have_no_boxes() -> None:
    with pytest.raises(InvalidValue, match="boxes") as error:
        READER.place(MaskRequest(boxes=((0, 0, 1, 1),)), READER.read(sound()))
    assert error.value.param == "boxes"


def test_settings_are_kept_in_the_folder(tmp_path: Path) -> None:
    processor = AudioProcessor(GRID, MEL, -31.5, 12.25)
    assert not is_audio(tmp_path)
    processor.save(tmp_path)
    assert is_audio(tmp_path) and load_processor(tmp_path, GRID) == processor


@pytest.mark.parametrize(
    "change",
    [
        {"n_mels": 20},
        {"window_frames": 48},
        {"hop_length": 0},
        {"win_length": 300},
        {"f_max": 4001},
        {"std": 0},
        {"sample_rate": "fast"},
        {"mean": None},
    ],
)
def test_settings_that_mean_nothing_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    READER.save(tmp_path)
    path = tmp_path / FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InvalidModel, match=FILE):
        load_processor(tmp_path, GRID)
