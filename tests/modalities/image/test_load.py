import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, ViTConfig, ViTForImageClassification, ViTForMaskedImageModeling

from app.errors import InvalidModel
from app.modalities import registry
from app.modalities.embedding import EmbedItem
from app.modalities.image.load import load_image
from app.modalities.reconstruction import ReconstructItem
from app.types import ModalityName, Task
from tests.fakes.perform import perform
from tests.fakes.tiny_images import ARCHITECTURES, TINY, picture, tiny_image_folder


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_folder_is_known_by_its_model_type_and_does_both_tasks(tmp_path: Path, architecture: str) -> None:
    objective = registry.load(tiny_image_folder(tmp_path, architecture))
    assert objective.modality is ModalityName.IMAGE
    assert set(objective.tasks) == {Task.EMBED, Task.RECONSTRUCT}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_encoder_saved_without_a_decoder_embeds_alike(tmp_path: Path, architecture: str) -> None:
    whole = load_image(tiny_image_folder(tmp_path / "whole", architecture))
    bare = load_image(tiny_image_folder(tmp_path / "bare", architecture, head=False))
    assert set(bare.tasks) == {Task.EMBED}
    vectors = [perform(o.tasks[Task.EMBED], [EmbedItem(picture())])[0].vector for o in (whole, bare)]
    assert np.allclose(*vectors, atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_bare_encoder_is_given_a_decoder_to_train(tmp_path: Path, architecture: str) -> None:
    objective = load_image(tiny_image_folder(tmp_path, architecture, head=False), new_head=True)
    assert objective.new_head
    [result] = perform(objective.tasks[Task.RECONSTRUCT], [ReconstructItem(picture())])
    predicted = result.predicted[result.pixel_mask]
    assert np.isfinite(predicted).all() and predicted.std() > 0


def test_a_classifier_embeds(tmp_path: Path) -> None:
    ViTForImageClassification(ViTConfig(image_size=32, patch_size=8, **TINY)).save_pretrained(tmp_path)
    assert set(load_image(tmp_path).tasks) == {Task.EMBED}


def test_without_processor_files_images_are_read_as_transformers_would(tmp_path: Path) -> None:
    ViTForMaskedImageModeling(ViTConfig(image_size=32, patch_size=8, encoder_stride=8, **TINY)).save_pretrained(
        tmp_path
    )
    processor = load_image(tmp_path).processor
    assert processor.squeeze and processor.mean == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_saved_loads_again_and_answers_alike(tmp_path: Path, architecture: str, channels: int) -> None:
    first = load_image(tiny_image_folder(tmp_path / "first", architecture, channels=channels))
    first.save(tmp_path / "second", torch.float32)
    second = load_image(tmp_path / "second")
    results = [perform(o.tasks[Task.RECONSTRUCT], [ReconstructItem(picture())])[0] for o in (first, second)]
    assert np.array_equal(results[0].predicted, results[1].predicted)
    assert second.processor == first.processor


def test_our_processor_files_mean_the_same_to_transformers(tmp_path: Path) -> None:
    objective = load_image(tiny_image_folder(tmp_path))
    processor = AutoImageProcessor.from_pretrained(tmp_path)
    for width, most in ((64, 0.02), (80, 0.05)):  # where something is cut off, it is cut between pixels here
        file = picture(width=width, height=64, form="PNG")
        theirs = processor(Image.open(io.BytesIO(file)), return_tensors="np")["pixel_values"][0].transpose(1, 2, 0)
        ours = objective.space.normalise(objective.processor.read(file).windows)[0]
        assert np.abs(theirs - ours).max() < most


def change(folder: Path, **fields: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | fields))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"auto_map": {}, "model_type": "x"}, "never run"),
        ({"model_type": "swin"}, "'swin' is not an image model"),
        ({"image_size": [32, 64]}, "must be square"),
        ({"image_size": 30}, "must be square and whole"),
        ({"num_channels": 4}, "4 channels"),
        ({"hidden_size": 64}, "cannot be loaded"),
        ({"num_hidden_layers": 3}, "lack"),
    ],
)
def test_what_cannot_be_loaded_says_why(tmp_path: Path, fields: dict[str, object], message: str) -> None:
    change(tiny_image_folder(tmp_path), **fields)
    with pytest.raises(InvalidModel, match=message):
        load_image(tmp_path)


def test_pickles_are_refused(tmp_path: Path) -> None:
    (tiny_image_folder(tmp_path) / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(InvalidModel, match=r"only pytorch_model\.bin"):
        load_image(tmp_path)
