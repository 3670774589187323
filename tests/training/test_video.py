"""Runs on videos, from archives to a folder that can be served."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.errors import InvalidData, InvalidValue
from app.media.limits import DEFAULT_LIMITS
from app.methods import METHODS, VideoMaeHyperparameters
from app.modalities.embedding import EmbedItem
from app.modalities.reconstruction import ReconstructItem
from app.modalities.video import geometry as video_module
from app.modalities.video.decoding import video_decoding
from app.modalities.video.geometry import video_geometry
from app.modalities.video.load import load_video
from app.training.data.source_file import SourceFile
from app.training.job import TrainingJob
from app.training.run import run
from app.types import Task
from tests.fakes.perform import perform
from tests.fakes.runs import Recorder
from tests.fakes.tiny_videos import mp4, strip_zip, tiny_video_folder, video_zip

SMALL = {"batch_size": 4, "precision": "float32", "max_eval_samples": 3, "validation_fraction": 0.25, "max_steps": 2}
PRESET = {"image_size": 32, "num_frames": 4}
Build = Callable[..., TrainingJob]


@pytest.fixture
def job(tmp_path: Path) -> Build:
    def build(name: str = "run", model: str | Path = "videomae-tiny", source: Path | None = None, **given: Any) -> Any:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        source = source or video_zip(tmp_path / "videos.zip", 8, broken=1)
        shape = PRESET if isinstance(model, str) else {}
        return TrainingJob(
            method="videomae",
            model=model,
            hyperparameters=METHODS["videomae"].hyperparameters(**{**SMALL, **shape, **given}),
            training_files=(SourceFile(source, source.name),),
            validation_files=(),
            run_dir=folder,
            cache_dir=tmp_path / "cache",
            device="cpu",
        )

    return build


def test_a_preset_trains_from_scratch_to_a_servable_folder(job: Build) -> None:
    hooks = Recorder()
    result = run(job(decoder_layers=1, stride=2, frame_rate=16.0), hooks)
    objective = load_video(result.folder)
    assert set(objective.tasks) == set(result.tasks) == {Task.EMBED, Task.RECONSTRUCT}
    assert objective.space.grid.shape == (2, 4, 4)
    assert (objective.processor.stride, objective.processor.frame_rate) == (2, 16.0)
    assert (objective.mask_defaults.strategy, objective.mask_defaults.ratio) == ("tube", 0.9)
    assert np.isfinite(perform(objective.tasks[Task.EMBED], [EmbedItem(mp4())])[0].vector).all()
    assert result.metrics.keys() >= {"eval_loss", "eval_psnr", "eval_mean_psnr", "eval_interpolation_psnr"}
    assert any("8 video files; left out: 1 another kind of file" in message for message, _ in hooks.events)


def test_the_tiny_preset_is_small_enough_to_ship(job: Build) -> None:
    result = run(job(num_frames=8, image_size=64, max_steps=1, export_dtype="bfloat16"), Recorder())
    assert result.parameters < 3_000_000
    assert sum(file.stat().st_size for file in result.folder.iterdir()) < 6_000_000


@pytest.mark.parametrize("options", [{}, {"norm_pix_loss": True}])
def test_a_model_learns(job: Build, options: dict[str, Any]) -> None:
    hooks = Recorder()
    given = {"decoder_layers": 1, "max_steps": 40, "eval_interval": 20, "crop": 1.0, "flip": False}
    result = run(job(**given, learning_rate=2e-3, log_interval=10, **options), hooks)
    losses = hooks.series("train_loss")
    assert losses[-1] < losses[0] * 0.97
    first, *_, last = hooks.series("eval_psnr")
    assert options or last > first  # of normalised patches, brightness is not learnt
    assert load_video(result.folder).space.normalises == bool(options)


def test_each_evaluation_shows_the_same_clips(job: Build) -> None:
    hooks = Recorder()
    run(job(eval_interval=1), hooks)
    assert hooks.artifacts.keys() == {"0.png", "1.png", "2.png"}
    first, _, last = (np.asarray(Image.open(io.BytesIO(content))) for content in hooks.artifacts.values())
    assert first.shape == last.shape == (2 * 3 * 132 - 4, 4 * 132 - 4, 3)  # two clips, three rows, four frames
    same = np.arange(len(first)) % (3 * 132) < 2 * 132  # originals and masks
    assert np.array_equal(first[same], last[same]) and not np.array_equal(first, last)


def test_strips_of_frames_are_clips_too(job: Build, tmp_path: Path) -> None:
    source = strip_zip(tmp_path / "sprites.zip", 8, length=8)
    hooks = Recorder()
    result = run(job(source=source, strip_frames=8), hooks)
    assert any("8 image files" in message for message, _ in hooks.events)
    assert any("12 samples (4 held out)" in message for message, _ in hooks.events)  # two clips of each strip
    [answer] = perform(load_video(result.folder).tasks[Task.RECONSTRUCT], [ReconstructItem(mp4())])
    assert np.isfinite(answer.loss)
    with pytest.raises(InvalidData, match="not a strip of 7 frames"):
        run(job("other", source=source, strip_frames=7), Recorder())


def test_long_videos_are_many_samples(job: Build, tmp_path: Path) -> None:
    files = []
    for seed in range(2):
        path = tmp_path / f"{seed}.mp4"
        path.write_bytes(mp4(seed, count=20))
        files.append(SourceFile(path, path.name))
    hooks = Recorder()
    base = job(validation_fraction=0.5, max_steps=1)
    run(TrainingJob(**{**vars(base), "training_files": tuple(files)}), hooks)
    assert any("5 samples (5 held out)" in message for message, _ in hooks.events)


def test_the_clips_of_a_video_fit_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objective = load_video(tiny_video_folder(tmp_path))
    seen = video_geometry(objective.model.config.to_dict(), VideoMaeHyperparameters(crop=1))
    processor = objective.processor
    clip, many = processor.num_frames * 32 * 32 * 3, mp4(count=8 * processor.num_frames * processor.stride)
    names, taken = [], []
    for room in (100 * clip, 3 * clip, clip // 2):
        monkeypatch.setattr(video_module, "DEFAULT_LIMITS", replace(DEFAULT_LIMITS, max_clip_bytes=room))
        decoding = video_decoding(seen, processor)
        names.append(decoding.name)
        taken.append(len(decoding.decode(many)) // processor.num_frames)
    assert taken == [8, 3, 1]
    assert len(set(names)) == 3


def test_a_bare_encoder_goes_on_as_it_was_told(job: Build, tmp_path: Path) -> None:
    base = tiny_video_folder(tmp_path / "bare", head=False)
    result = run(job(model=base, max_steps=1, mask_strategy="random", mask_ratio=0.5), Recorder())
    objective = load_video(result.folder)
    assert (objective.mask_defaults.strategy, objective.mask_defaults.ratio) == ("random", 0.5)
    [answer] = perform(objective.tasks[Task.RECONSTRUCT], [ReconstructItem(mp4())])
    assert np.isfinite(answer.loss) and answer.mask.sum() == 16


def test_a_stored_models_decoder_keeps_its_size(job: Build, tmp_path: Path) -> None:
    with pytest.raises(InvalidValue) as error:
        run(job(model=tiny_video_folder(tmp_path / "stored"), decoder_layers=2), Recorder())
    assert error.value.param == "decoder_layers"
