"""Runs on sounds, from archives to a folder that can be served."""

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from app.errors import InvalidData, InvalidValue
from app.methods import METHODS
from app.modalities.audio.load import load_audio
from app.modalities.audio.processor import FILE, MEAN
from app.modalities.audio.training import SpectrogramAugment
from app.modalities.embedding import EmbedItem
from app.modalities.reconstruction import ReconstructItem
from app.training.data.source_file import SourceFile
from app.training.job import TrainingJob
from app.training.run import run
from app.types import Task
from tests.fakes.perform import perform
from tests.fakes.runs import Recorder, same
from tests.fakes.tiny_audio import FRAMES, RATE, sound, sound_zip, tiny_audio_folder

SMALL = {"batch_size": 6, "precision": "float32", "max_eval_samples": 4, "validation_fraction": 0.2, "max_steps": 3}
PRESET = {"sample_rate": RATE, "n_mels": 16, "window_frames": FRAMES, "patch_size": 8}
Build = Callable[..., TrainingJob]


@pytest.fixture
def job(tmp_path: Path) -> Build:
    source = sound_zip(tmp_path / "sounds.zip", broken=1, silent=2)

    def build(name: str = "run", model: str | Path | None = None, **given: Any) -> TrainingJob:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        return TrainingJob(
            method="audiomae",
            model=model or tiny_audio_folder(tmp_path / "base"),
            hyperparameters=METHODS["audiomae"].hyperparameters(**{**SMALL, **given}),
            training_files=(SourceFile(source, source.name),),
            validation_files=(),
            run_dir=folder,
            cache_dir=tmp_path / "cache",
            device="cpu",
        )

    return build


def test_a_preset_trains_from_scratch_to_a_servable_folder(job: Build) -> None:
    hooks = Recorder()
    result = run(job(model="audiomae-tiny", **PRESET, max_steps=2), hooks)
    objective = load_audio(result.folder)
    assert set(objective.tasks) == set(result.tasks) == {Task.EMBED, Task.RECONSTRUCT}
    assert objective.space.grid.shape == (5, 2)
    stored = json.loads((result.folder / FILE).read_text())
    assert (stored["sample_rate"], stored["hop_length"], stored["n_mels"]) == (RATE, 80, 16)
    assert stored["mean"] != MEAN and 1 < stored["std"] < 60
    assert any("The log-mel of the training data" in message for message, _ in hooks.events)
    vector = perform(objective.tasks[Task.EMBED], [EmbedItem(sound())])[0].vector
    assert vector.shape == (192,) and np.isfinite(vector).all()
    assert result.metrics.keys() >= {"eval_loss", "eval_psnr", "eval_mean_psnr", "eval_interpolation_psnr"}


def test_the_tiny_preset_is_tiny(job: Build) -> None:
    result = run(job(model="audiomae-tiny", max_steps=1, batch_size=2, export_dtype="bfloat16"), Recorder())
    assert result.parameters <= 3_000_000
    assert sum(file.stat().st_size for file in result.folder.iterdir()) < 15e6


def test_a_model_learns(job: Build) -> None:
    hooks = Recorder()
    given = {"decoder_layers": 1, "max_steps": 60, "eval_interval": 30, "time_roll": False, "gain": 0.0}
    run(job(model="audiomae-tiny", **given, **PRESET, learning_rate=2e-3, log_interval=10), hooks)
    losses = hooks.series("train_loss")
    assert losses[-1] < losses[0] * 0.8
    first, *_, last = hooks.series("eval_psnr")
    assert last > first


def test_killed_and_resumed_equals_undisturbed_bit_for_bit(job: Build) -> None:
    options = {"model": "audiomae-tiny", **PRESET, "max_steps": 5, "checkpoint_interval": 2}
    undisturbed = run(job("a", **options), Recorder())
    with pytest.raises(KeyboardInterrupt):
        run(job("b", **options), Recorder(die_at=3))
    resumed = run(job("b", **options), Recorder())
    assert same(undisturbed, resumed)
    assert (undisturbed.folder / FILE).read_text() == (resumed.folder / FILE).read_text()


def test_each_evaluation_shows_the_same_items(job: Build) -> None:
    hooks = Recorder()
    run(job(max_steps=4, eval_interval=2), hooks)
    assert hooks.artifacts.keys() == {"0.png", "2.png", "4.png"}
    first, _, last = (np.asarray(Image.open(io.BytesIO(content))) for content in hooks.artifacts.values())
    assert first.shape == last.shape
    two = first.shape[1] * 2 // 3 - 2  # original and mask stay, what is predicted does not
    assert np.array_equal(first[:, :two], last[:, :two])
    assert not np.array_equal(first, last)


def test_what_was_trained_is_how_the_model_is_asked(job: Build) -> None:
    result = run(job(mask_ratio=0.5, mask_strategy="time-frequency", max_steps=1), Recorder())
    objective = load_audio(result.folder)
    assert (objective.mask_defaults.strategy, objective.mask_defaults.ratio) == ("time-frequency", 0.5)
    assert objective.processor == load_audio(job().model).processor  # a stored model goes on hearing as it did


def test_a_bare_encoder_gets_a_decoder(job: Build, tmp_path: Path) -> None:
    result = run(job(model=tiny_audio_folder(tmp_path / "bare", head=False), max_steps=1), Recorder())
    [answer] = perform(load_audio(result.folder).tasks[Task.RECONSTRUCT], [ReconstructItem(sound())])
    assert np.isfinite(answer.loss)


def test_one_sound_of_absurd_samples_is_left_out(job: Build, tmp_path: Path) -> None:
    loud = io.BytesIO()
    soundfile.write(loud, np.full(RATE, 1e25, np.float32), RATE, format="WAV", subtype="FLOAT")
    source = tmp_path / "sounds.zip"
    with zipfile.ZipFile(source, "a") as archive:
        archive.writestr("loud.wav", loud.getvalue())
    hooks = Recorder()
    asked = replace(job(model="audiomae-tiny", **PRESET), training_files=(SourceFile(source, "more.zip"),))
    result = run(asked, hooks)
    assert np.isfinite(result.metrics["eval_loss"])
    assert any("left out: " in message and "4 broken" in message for message, _ in hooks.events), hooks.events
    assert any("The log-mel of the training data: mean -" in message for message, _ in hooks.events)


def test_what_is_broken_or_silent_is_left_out_and_told(job: Build) -> None:
    hooks = Recorder()
    run(job(max_steps=1), hooks)
    [told] = [(message, data) for message, data in hooks.events if "skipped" in data]
    assert "16 audio files; left out: 1 another kind of file (labels.csv: text), 3 broken (sounds/" in told[0]
    with pytest.raises(InvalidData, match="16 audio files are usable"):
        run(job("strict", max_broken_share=0.05), Recorder())


def test_long_sounds_are_cut_and_short_ones_padded(job: Build, tmp_path: Path) -> None:
    hooks = Recorder()
    files = []
    for name, seconds in (("long.ogg", 3.0), ("short.flac", 0.01), ("other.flac", 0.4)):
        path = tmp_path / name
        path.write_bytes(sound(1, seconds, form="OGG" if name.endswith("ogg") else "FLAC"))
        files.append(SourceFile(path, name))
    held = tmp_path / "held.flac"
    held.write_bytes(sound(2, 0.9))
    validation = (SourceFile(held, held.name),)
    result = run(replace(job(max_steps=2), training_files=tuple(files), validation_files=validation), hooks)
    assert any("9 samples (2 held out)" in message for message, _ in hooks.events)  # 300 frames are 7 windows of 40
    assert np.isfinite(result.metrics["eval_psnr"])


def test_padding_teaches_and_counts_nothing(job: Build) -> None:
    """Of a sound of two rows of patches, the rest of the window changes neither loss nor figures."""
    objective = load_audio(job().model)
    objective.start_training(objective.mask_defaults.samplers["random"], 0.8, SpectrogramAugment(FRAMES, False, 0.0))
    levels = objective.processor.levels(sound(0, 0.16))
    item = objective.mask_sample(levels, np.random.default_rng(0))
    assert item.rows == 2 and item.mask.sum() == 8 and 1 <= item.mask[:4].sum() <= 3
    batch = objective.collate_masked(
        [item, objective.mask_sample(objective.processor.levels(sound(1)), np.random.default_rng(1))]
    )
    assert batch.counted.sum() == batch.counts.positions == item.mask[:4].sum() + 8
    loss, metrics = objective.forward(batch)
    loud = batch.targets.clone()
    loud[0, int(item.mask[:4].sum()) :] = 1.0
    assert objective.forward(replace(batch, targets=loud))[0] == loss
    assert metrics.count == batch.counts.positions and np.isfinite(metrics.extra["psnr"])
    evaluated = objective.mask_sample(levels, np.random.default_rng(0), evaluate=True)
    [scores] = objective.scored(one := objective.collate_masked([evaluated]), objective.predict(one))
    assert scores.predicted.shape == (FRAMES, 16, 1) and not scores.predicted[16:].any()


@pytest.mark.parametrize(
    ("options", "param"),
    [({"decoder_layers": 2}, "decoder_layers"), ({"decoder_hidden_size": 64}, "decoder_hidden_size")],
)
def test_what_does_not_suit_a_stored_model_is_refused(job: Build, options: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidValue) as error:
        run(job(**options), Recorder())
    assert error.value.param == param


def test_augmented_sounds_are_the_same_sound() -> None:
    stored = (np.arange(1, 101, dtype=np.float16) / 200).reshape(100, 1).repeat(4, 1)
    stored[:, 3] = 0
    rng = np.random.default_rng(0)
    plain, cut = SpectrogramAugment(40, False, 0.0), SpectrogramAugment(40, True, 6.0)
    assert np.array_equal(plain(stored, None)[0][..., 0], stored[:40].astype(np.float32))
    starts = {float(plain(stored, rng)[0][0, 0, 0]) for _ in range(50)}
    assert len(starts) > 20
    heard, length = cut(stored, rng)
    assert heard.shape == (40, 4, 1) and heard.dtype == np.float32 and length == 40
    assert not heard[:, 3].any()  # what was silent stays so
    assert np.array_equal(cut(stored, np.random.default_rng(1))[0], cut(stored, np.random.default_rng(1))[0])
    short, length = cut(stored[:5], rng)
    assert length == 5 and not short[5:].any()
    steps = np.diff(np.sort(short[:5, 0, 0]))
    assert np.allclose(steps, 1 / 200, atol=1e-3)
