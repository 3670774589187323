"""Architectures with a head for masked images train by the objective of transformers, in Cloze's jobs."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from transformers import AutoImageProcessor, AutoModelForMaskedImageModeling

from app.methods import METHODS
from app.methods.image import SIMMIM_ARCHITECTURES
from app.modalities.embedding import EmbedItem
from app.modalities.image import IMAGE
from app.modalities.image.encoder import EncoderObjective, load_encoder
from app.modalities.image.encoder_types import ENCODERS
from app.modalities.patch.mae import channels_first
from app.modalities.reconstruction import ReconstructItem
from app.modalities.registry import load
from app.training.data.source_file import SourceFile
from app.training.job import TrainingJob
from app.training.run import run
from app.types import Task
from tests.conformance.image_types import build_folder, build_model, save_folder
from tests.fakes.image_data import picture_zip
from tests.fakes.perform import perform
from tests.fakes.runs import Recorder, same
from tests.fakes.tiny_images import picture

TYPES = sorted(SIMMIM_ARCHITECTURES - {"vit"})
SMALL = {"batch_size": 6, "precision": "float32", "max_eval_samples": 4, "validation_fraction": 0.2, "max_steps": 3}


def make_job(tmp_path: Path, model: Path, name: str = "run", **given: object) -> TrainingJob:
    source = picture_zip(tmp_path / "pictures.zip", 24)
    (tmp_path / name).mkdir()
    return TrainingJob(
        method="simmim",
        model=model,
        hyperparameters=METHODS["simmim"].hyperparameters(**SMALL | given),
        training_files=(SourceFile(source, source.name),),
        validation_files=(),
        run_dir=tmp_path / name,
        cache_dir=tmp_path / "cache",
        device="cpu",
    )


def test_the_method_trains_what_has_a_head() -> None:
    assert [name for name, kind in sorted(ENCODERS.items()) if "Masked" in kind.model_class] == TYPES


@pytest.mark.parametrize("model_type", TYPES)
def test_the_loss_is_that_of_transformers(tmp_path: Path, model_type: str) -> None:
    folder = build_folder(tmp_path, model_type)
    objective = load_encoder(folder)
    grid, size = objective.space.grid, objective.processor.size
    objective.start_training(objective.mask_defaults.samplers["random"], 0.5, lambda sample, rng: sample)
    rng = np.random.default_rng(0)
    samples = [rng.integers(0, 256, (size, size, 3), dtype=np.uint8) for _ in range(3)]
    batch = objective.collate_masked([objective.mask_sample(sample, rng) for sample in samples])
    loss, _ = objective.forward(batch)
    pixels = torch.from_numpy(objective.space.normalise(np.stack(samples) / np.float32(255)))
    theirs = AutoModelForMaskedImageModeling.from_pretrained(folder).eval()
    mask = objective.patch_model.expand_mask(batch.mask)  # type: ignore[attr-defined]
    with torch.inference_mode():
        expected = theirs(pixel_values=channels_first(pixels), bool_masked_pos=mask).loss
    assert 0 < int(batch.mask[0].sum()) < grid.count
    assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("model_type", TYPES)
def test_a_job_continues_it_and_makes_a_folder_that_is_served(tmp_path: Path, model_type: str) -> None:
    folder, hooks = build_folder(tmp_path / model_type, model_type), Recorder()
    before = load_encoder(folder)
    result = run(make_job(tmp_path, folder, mask_ratio=0.5), hooks)
    assert (result.architecture, set(result.tasks)) == (model_type, {Task.EMBED, Task.RECONSTRUCT})
    assert result.metrics.keys() >= {"eval_loss", "eval_psnr", "eval_mean_psnr"}
    after = load(result.folder)
    assert isinstance(after, EncoderObjective)
    assert after.mask_defaults.ratio == 0.5
    file = picture(3, form="PNG")
    assert np.array_equal(before.processor.read(file).windows, after.processor.read(file).windows)
    vectors = [perform(each.tasks[Task.EMBED], [EmbedItem(file)])[0].vector for each in (before, after)]
    assert not np.allclose(*vectors, atol=1e-6)
    assert np.isfinite(perform(after.tasks[Task.RECONSTRUCT], [ReconstructItem(file)])[0].loss)
    kind = ENCODERS[model_type].processor
    assert isinstance(
        AutoImageProcessor.from_pretrained(result.folder, backend="pil"),
        getattr(transformers, f"{kind}ImageProcessorPil"),
    )


@pytest.mark.parametrize("model_type", TYPES)
def test_a_bare_encoder_gets_a_head(tmp_path: Path, model_type: str) -> None:
    bare = save_folder(tmp_path / "bare", build_model(model_type).base_model, model_type)
    assert Task.RECONSTRUCT not in load(bare).tasks
    result = run(make_job(tmp_path, bare, max_steps=1), Recorder())
    [answer] = perform(load(result.folder).tasks[Task.RECONSTRUCT], [ReconstructItem(picture())])
    assert np.isfinite(answer.loss)


def test_killed_and_resumed_equals_undisturbed_bit_for_bit(tmp_path: Path) -> None:
    folder = save_folder(tmp_path / "swin", build_model("swin", drop_path_rate=0.5), "swin")
    options = {"max_steps": 5, "checkpoint_interval": 2, "contrast_weight": 0.5}
    undisturbed = run(make_job(tmp_path, folder, "a", **options), Recorder())
    job = make_job(tmp_path, folder, "b", **options)
    with pytest.raises(KeyboardInterrupt):
        run(job, Recorder(die_at=3))
    assert same(undisturbed, run(job, Recorder()))


@pytest.mark.parametrize("model_type", TYPES)
def test_estimates_know_the_geometry_of_training(tmp_path: Path, model_type: str) -> None:
    folder = build_folder(tmp_path, model_type)
    config = json.loads((folder / "config.json").read_text())
    geometry = IMAGE.geometry(config, METHODS["simmim"].hyperparameters())
    objective = load_encoder(folder)
    assert geometry.grid == objective.space.grid
    assert geometry.mask_defaults == objective.mask_defaults
