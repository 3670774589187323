"""Runs on pictures, from archives to a folder that can be served."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.errors import InvalidData, InvalidValue
from app.methods import METHODS
from app.modalities.embedding import EmbedItem
from app.modalities.image.load import load_image
from app.modalities.reconstruction import ReconstructItem
from app.system.process_pool import ProcessPool
from app.training.data.source_file import SourceFile
from app.training.job import TrainingJob
from app.training.run import run
from app.types import Task
from tests.fakes.image_data import picture_tar, picture_zip
from tests.fakes.perform import perform
from tests.fakes.runs import Recorder, same
from tests.fakes.tiny_images import picture, tiny_image_folder

SMALL = {"batch_size": 6, "precision": "float32", "max_eval_samples": 4, "validation_fraction": 0.2, "max_steps": 3}
PRESET = {"image_size": 32, "patch_size": 8}
Build = Callable[..., TrainingJob]


@pytest.fixture
def job(tmp_path: Path) -> Build:
    source = picture_zip(tmp_path / "pictures.zip", broken=2)

    def build(name: str = "run", method: str = "mae", model: str | Path | None = None, **given: Any) -> TrainingJob:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        architecture = {"mae": "vit_mae", "simmim": "vit"}[method]
        return TrainingJob(
            method=method,
            model=model or tiny_image_folder(tmp_path / architecture, architecture),
            hyperparameters=METHODS[method].hyperparameters(**{**SMALL, **given}),
            training_files=(SourceFile(source, source.name),),
            validation_files=(),
            run_dir=folder,
            cache_dir=tmp_path / "cache",
            device="cpu",
        )

    return build


@pytest.mark.parametrize("preset", ["mae-tiny", "simmim-tiny"])
def test_a_preset_trains_from_scratch_to_a_servable_folder(job: Build, preset: str) -> None:
    method = preset.partition("-")[0]
    result = run(job(method=method, model=preset, **PRESET, channels=1, max_steps=2), Recorder())
    objective = load_image(result.folder)
    assert set(objective.tasks) == set(result.tasks) == {Task.EMBED, Task.RECONSTRUCT}
    assert objective.space.grid.channels == 1
    assert np.isfinite(perform(objective.tasks[Task.EMBED], [EmbedItem(picture())])[0].vector).all()
    assert result.metrics.keys() >= {"eval_loss", "eval_psnr", "eval_mean_psnr", "eval_interpolation_psnr"}


@pytest.mark.parametrize("options", [{}, {"norm_pix_loss": True}])
def test_a_model_learns(job: Build, options: dict[str, Any]) -> None:
    hooks = Recorder()
    given = {"model": "mae-tiny", "decoder_layers": 1, "max_steps": 60, "eval_interval": 10, "crop": 1.0, "flip": False}
    task = job(**given, **PRESET, learning_rate=5e-4, log_interval=10, **options)
    # Held out is what it trains on: of two dozen random pictures nothing is learnt about others.
    result = run(replace(task, validation_files=task.training_files), hooks)
    losses, decibels = hooks.series("train_loss"), hooks.series("eval_psnr")
    assert losses[-1] < losses[0] * 0.9
    assert options or decibels[-1] > decibels[0]  # of normalised patches, brightness is not learnt
    assert all(0 <= share <= 1 for share in hooks.series("data_wait_share"))
    assert load_image(result.folder).space.normalises == bool(options)


@pytest.mark.parametrize("die_at", [1, 5])
def test_killed_and_resumed_equals_undisturbed_bit_for_bit(job: Build, die_at: int) -> None:
    options = {"max_steps": 7, "checkpoint_interval": 2, "gradient_accumulation_steps": 2}
    undisturbed = run(job("a", **options), Recorder())
    with pytest.raises(KeyboardInterrupt):
        run(job("b", **options), Recorder(die_at=die_at))
    assert same(undisturbed, run(job("b", **options), Recorder()))


def test_each_evaluation_shows_the_same_items(job: Build) -> None:
    hooks = Recorder()
    run(job(max_steps=4, eval_interval=2), hooks)
    assert hooks.artifacts.keys() == {"0.png", "2.png", "4.png"}
    first, _, last = (np.asarray(Image.open(io.BytesIO(content))) for content in hooks.artifacts.values())
    assert first.shape == last.shape == (5 * 128 + 4 * 4, 3 * 128 + 2 * 4, 3)
    assert np.array_equal(first[:, : 2 * 128], last[:, : 2 * 128])  # originals and masks
    assert not np.array_equal(first, last)


def test_what_was_trained_is_how_the_model_is_asked(job: Build) -> None:
    for method in ("mae", "simmim"):
        result = run(job(method, method, mask_ratio=0.5, mask_strategy="block", max_steps=1), Recorder())
        defaults = load_image(result.folder).mask_defaults
        assert (defaults.strategy, defaults.ratio) == ("block", 0.5)


def test_a_bare_encoder_gets_a_decoder(job: Build, tmp_path: Path) -> None:
    base = tiny_image_folder(tmp_path / "bare", head=False)
    result = run(job(model=base, max_steps=1), Recorder())
    [answer] = perform(load_image(result.folder).tasks[Task.RECONSTRUCT], [ReconstructItem(picture())])
    assert np.isfinite(answer.loss)


def test_what_is_left_out_is_told_and_counted(job: Build) -> None:
    hooks = Recorder()
    run(job(max_steps=1), hooks)
    [told] = [(message, data) for message, data in hooks.events if "skipped" in data]
    assert "24 image files; left out: 1 another kind of file (labels.csv: text), 2 broken (pictures/" in told[0]
    assert told[1]["usable"] == 24 and told[1]["skipped"]["broken"] == 2


def test_too_much_that_is_broken_fails(job: Build) -> None:
    with pytest.raises(InvalidData, match=r"24 image files are usable; skipped: .* 2 broken"):
        run(job(max_broken_share=0.05), Recorder())


def test_several_files_are_mixed_by_weight(job: Build, tmp_path: Path) -> None:
    tar = picture_tar(tmp_path / "more.tar.gz")
    alone = tmp_path / "alone.jpg"
    alone.write_bytes(picture(5))
    hooks = Recorder()
    files = (*job().training_files, SourceFile(tar, tar.name, weight=2.0), SourceFile(alone, alone.name))
    run(replace(job(max_steps=1), training_files=files), hooks)
    assert sum("image files" in message for message, _ in hooks.events) == 3
    assert any("(6 held out)" in message for message, _ in hooks.events)


def test_a_validation_file_is_what_is_held_out(job: Build, tmp_path: Path) -> None:
    held = picture_tar(tmp_path / "held.tar.gz", count=3)
    hooks = Recorder()
    run(replace(job(max_steps=1), validation_files=(SourceFile(held, held.name),)), hooks)
    assert any("24 samples (3 held out)" in message for message, _ in hooks.events)


def test_pictures_are_decoded_once(job: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(job("a", max_steps=1), Recorder())
    monkeypatch.setattr(ProcessPool, "submit", None)
    run(job("b", max_steps=1), Recorder())


@pytest.mark.parametrize(
    ("options", "param"), [({"decoder_layers": 2}, "decoder_layers"), ({"method": "simmim", "model": "mae"}, "model")]
)
def test_what_does_not_suit_a_stored_model_is_refused(
    job: Build, tmp_path: Path, options: dict[str, Any], param: str
) -> None:
    if "model" in options:
        options = options | {"model": tiny_image_folder(tmp_path / "mae")}
    with pytest.raises(InvalidValue) as error:
        run(job(**options), Recorder())
    assert error.value.param == param
