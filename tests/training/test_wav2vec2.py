"""Runs of wav2vec 2.0, from archives to a folder that transformers loads and Cloze serves."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2ForPreTraining, Wav2Vec2Model

from app.errors import InvalidData, InvalidModel
from app.media.audio import decode_audio
from app.methods import METHODS, Wav2Vec2Hyperparameters, preset
from app.modalities.embedding import EmbedItem
from app.modalities.registry import load
from app.training.data.source_file import SourceFile
from app.training.job import TrainingJob
from app.training.run import run
from app.types import Task
from tests.fakes.perform import perform
from tests.fakes.runs import Recorder, same, weights
from tests.fakes.tiny_audio import sound
from tests.fakes.tiny_waveforms import RATE, tiny_wav2vec2_folder

SMALL = {
    "batch_size": 6,
    "crop_seconds": 0.4,
    "mask_time_length": 3,
    "num_negatives": 8,
    "precision": "float32",
    "max_eval_samples": 4,
    "validation_fraction": 0.2,
    "max_steps": 3,
}
Build = Callable[..., TrainingJob]


def write_sounds(path: Path, *, short: int = 0) -> Path:
    """Sounds of several lengths, one much longer than a crop, and `short` ones of less than four frames."""
    with zipfile.ZipFile(path, "w") as archive:
        for seed in range(14):
            archive.writestr(f"{seed:02}.flac", sound(seed, (0.2, 0.3, 0.5, 1.7)[seed % 4], RATE))
        for seed in range(short):
            archive.writestr(f"short-{seed}.flac", sound(seed, 0.05, RATE))
    return path


@pytest.fixture
def job(tmp_path: Path) -> Build:
    source = write_sounds(tmp_path / "sounds.zip", short=2)

    def build(name: str = "run", model: str | Path | None = None, **given: Any) -> TrainingJob:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        return TrainingJob(
            method="wav2vec2",
            model=model or tiny_wav2vec2_folder(tmp_path / "base"),
            hyperparameters=METHODS["wav2vec2"].hyperparameters(**{**SMALL, **given}),
            training_files=(SourceFile(source, source.name),),
            validation_files=(),
            run_dir=folder,
            cache_dir=tmp_path / "cache",
            device="cpu",
        )

    return build


def test_a_preset_trains_from_scratch_to_a_folder_that_transformers_loads(job: Build) -> None:
    hooks = Recorder()
    result = run(job(model="wav2vec2-tiny"), hooks)
    assert (result.architecture, result.tasks) == ("wav2vec2", (Task.EMBED,))
    assert result.parameters < 2_500_000
    assert any("14 audio files; left out: 2 broken" in message for message, _ in hooks.events)
    for architecture in (Wav2Vec2ForPreTraining, Wav2Vec2Model):
        _, found = architecture.from_pretrained(result.folder, output_loading_info=True)
        assert not found["missing_keys"]
    config = json.loads((result.folder / "config.json").read_text())
    assert config["architectures"] == ["Wav2Vec2ForPreTraining"]
    assert (config["num_negatives"], config["diversity_loss_weight"]) == (8, 0.1)
    assert not (load_file(result.folder / "model.safetensors")["wav2vec2.masked_spec_embed"] == 0).all()


def test_the_result_is_served_as_transformers_computes_it(job: Build) -> None:
    folder, file = run(job(), Recorder()).folder, sound(1, 0.5, RATE)
    [answer] = perform(load(folder).tasks[Task.EMBED], [EmbedItem(file, normalize=False)])
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(folder)
    values = extractor(decode_audio(file, sample_rate=RATE), sampling_rate=RATE, return_tensors="pt")["input_values"]
    with torch.inference_mode():
        states = Wav2Vec2Model.from_pretrained(folder).eval()(values).last_hidden_state
    assert np.allclose(answer.vector, states[0].mean(0), atol=1e-4)


def test_metrics_are_told_with_their_chance_level(job: Build) -> None:
    hooks = Recorder()
    result = run(job(log_interval=1, diversity_weight=0.3), hooks)
    assert result.metrics.keys() == {
        "step",
        *(f"eval_{name}" for name in ("loss", "accuracy", "chance_loss", "chance_accuracy", "code_perplexity")),
    }
    assert 0 < result.metrics["eval_chance_accuracy"] < 1
    assert 2 <= result.metrics["eval_code_perplexity"] <= 12
    assert len(hooks.series("train_loss")) == len(hooks.series("train_diversity_loss")) == 3
    temperatures = hooks.series("train_gumbel_temperature")
    assert temperatures == pytest.approx([2.0, 2 * 0.25 ** (1 / 3 / 0.7), 2 * 0.25 ** (2 / 3 / 0.7)])


def test_a_killed_run_resumes_bit_for_bit(job: Build) -> None:
    """With dropout and layer drop, whose draws are repeated."""
    options = {"max_steps": 6, "checkpoint_interval": 2, "gradient_accumulation_steps": 2}
    undisturbed = run(job("a", **options), Recorder())
    with pytest.raises(KeyboardInterrupt):
        run(job("b", **options), Recorder(die_at=3))
    hooks = Recorder()
    assert same(undisturbed, run(job("b", **options), hooks))
    assert any("Resumed from step 2" in message for message, _ in hooks.events)


def test_a_checkpoint_completes_the_skeleton(job: Build, tmp_path: Path) -> None:
    """As a checkpoint is published. The convolution of positions is a parametrization, whose names differ."""
    result, checkpoint = run(job(), Recorder()), tmp_path / "run" / "checkpoints" / "step-000000003"
    folder = shutil.copytree(tmp_path / "run" / "skeleton", tmp_path / "published")
    shutil.copy(checkpoint / "model.safetensors", folder)
    item = EmbedItem(sound(1, 0.5, RATE))
    [one], [other] = (perform(load(each).tasks[Task.EMBED], [item]) for each in (folder, result.folder))
    assert np.array_equal(one.vector, other.vector)


def test_a_model_learns(job: Build) -> None:
    hooks = Recorder()
    run(job(max_steps=60, learning_rate=3e-3, log_interval=10, eval_interval=60, feature_penalty=0.0), hooks)
    losses = hooks.series("train_loss")
    assert losses[-1] < 0.95 * losses[0]


def test_an_encoder_gets_a_new_head_and_keeps_its_weights(job: Build, tmp_path: Path) -> None:
    folder = tiny_wav2vec2_folder(tmp_path / "encoder", head=False)
    hooks = Recorder()
    result = run(job(model=folder, max_steps=1, learning_rate=1e-9, head_learning_rate=1e-9), hooks)
    assert any("start at random" in message for message, _ in hooks.events)
    before, after = load_file(folder / "model.safetensors"), weights(result)
    assert all(np.allclose(after[f"wav2vec2.{name}"], value, atol=1e-6) for name, value in before.items())
    assert all(after[name].std() > 0 for name in ("quantizer.codevectors", "project_q.weight", "project_hid.weight"))
    again = run(job("again", model=result.folder, max_steps=1, learning_rate=1e-9), told := Recorder())
    assert not any("start at random" in message for message, _ in told.events)
    kept = ("quantizer.codevectors", "project_q.weight", "project_hid.weight")
    assert all(np.allclose(weights(again)[name], after[name], atol=1e-6) for name in kept)


def test_a_model_whose_configuration_masks_nothing_gets_a_mask_vector(job: Build, tmp_path: Path) -> None:
    folder = tiny_wav2vec2_folder(tmp_path / "unmasked", mask_time_prob=0.0)
    assert "wav2vec2.masked_spec_embed" not in load_file(folder / "model.safetensors")
    result = run(job(model=folder, max_steps=1), Recorder())
    assert Wav2Vec2ForPreTraining.from_pretrained(result.folder).wav2vec2.masked_spec_embed.std() > 0


def test_the_processor_file_of_a_stored_model_is_kept(job: Build, tmp_path: Path) -> None:
    folder = tiny_wav2vec2_folder(tmp_path / "plain")
    file = folder / "preprocessor_config.json"
    stored = json.loads(file.read_text()) | {"do_normalize": False, "return_attention_mask": True}
    file.write_text(json.dumps(stored))
    result = run(job(model=folder, max_steps=1), Recorder())
    assert json.loads((result.folder / file.name).read_text()) == stored


def test_another_architecture_is_refused(job: Build, tmp_path: Path) -> None:
    folder = tiny_wav2vec2_folder(tmp_path / "hubert")
    config = json.loads((folder / "config.json").read_text()) | {"model_type": "hubert"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InvalidModel, match="'hubert' is not a wav2vec"):
        run(job(model=folder), Recorder())


def test_sounds_that_are_too_short_are_no_data(job: Build, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "sounds.zip", "w") as archive:
        for seed in range(4):
            archive.writestr(f"{seed}.flac", sound(seed, 0.05, RATE))
    with pytest.raises(InvalidData, match="training needs 1"):
        run(job(), Recorder())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"gumbel_temperature": 0.4}, "gumbel_temperature_min is 0.5"),
        ({"compile": True}, "compile is not available"),
        ({"batch_size": 2, "gradient_accumulation_steps": 4}, "cannot be divided into 4"),
        ({"mask_time_prob": 1.0}, "less than 1"),
    ],
)
def test_hyperparameters_that_cannot_be_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Wav2Vec2Hyperparameters(**given)


def test_the_base_preset_is_the_published_model() -> None:
    config = preset("wav2vec2-base")
    assert config is not None
    with torch.device("meta"):
        fields = {name: value for name, value in config.items() if name != "model_type"}
        model = Wav2Vec2ForPreTraining(Wav2Vec2Model.config_class(**fields))
    assert sum(p.numel() for p in model.parameters()) == 95_044_608
