import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoImageProcessor, VideoMAEConfig, VideoMAEForVideoClassification

from app.errors import InvalidModel, InvalidValue
from app.modalities import registry
from app.modalities.embedding import EmbedItem
from app.modalities.reconstruction import ReconstructItem
from app.modalities.video.load import load_video
from app.types import ModalityName, Pooling, Task
from tests.fakes.perform import perform
from tests.fakes.tiny_images import TINY
from tests.fakes.tiny_videos import CLIP, frames, lossless, mp4, tiny_video_folder


def test_a_folder_is_known_by_its_model_type_and_does_both_tasks(tmp_path: Path) -> None:
    objective = registry.load(tiny_video_folder(tmp_path))
    assert objective.modality is ModalityName.VIDEO
    assert set(objective.tasks) == {Task.EMBED, Task.RECONSTRUCT}


def test_an_encoder_saved_without_a_decoder_embeds_alike(tmp_path: Path) -> None:
    whole = load_video(tiny_video_folder(tmp_path / "whole"))
    bare = load_video(tiny_video_folder(tmp_path / "bare", head=False))
    assert set(bare.tasks) == {Task.EMBED}
    vectors = [perform(o.tasks[Task.EMBED], [EmbedItem(mp4())])[0].vector for o in (whole, bare)]
    assert np.allclose(*vectors, atol=1e-5)


def test_a_bare_encoder_is_given_a_decoder_to_train(tmp_path: Path) -> None:
    objective = load_video(tiny_video_folder(tmp_path, head=False), new_head=True)
    assert objective.new_head
    assert 0 < objective.model.mask_token.abs().max() < 5  # transformers leaves it to what the memory held
    [result] = perform(objective.tasks[Task.RECONSTRUCT], [ReconstructItem(mp4())])
    predicted = result.predicted[result.pixel_mask]
    assert np.isfinite(predicted).all() and predicted.std() > 0


def test_a_classifier_without_processor_files_embeds_as_transformers_would(tmp_path: Path) -> None:
    VideoMAEForVideoClassification(VideoMAEConfig(**TINY, **CLIP)).save_pretrained(tmp_path)
    objective = load_video(tmp_path)
    assert set(objective.tasks) == {Task.EMBED}
    assert not objective.processor.squeeze and objective.processor.mean == (0.5, 0.5, 0.5)
    assert (objective.processor.stride, objective.processor.frame_rate) == (4, None)
    with pytest.raises(InvalidValue, match="no class token"):
        objective.tasks[Task.EMBED].prepare(EmbedItem(mp4(), pooling=Pooling.CLS))
    with pytest.raises(InvalidValue, match="prompts go before texts"):
        objective.tasks[Task.EMBED].prepare(EmbedItem(mp4(), prompt_name="query"))


def test_what_is_saved_loads_again_and_answers_alike(tmp_path: Path) -> None:
    first = load_video(tiny_video_folder(tmp_path / "first", stride=3))
    first.save(tmp_path / "second", torch.float32)
    second = load_video(tmp_path / "second")
    items = [ReconstructItem(mp4(count=20))]
    results = [perform(o.tasks[Task.RECONSTRUCT], items)[0] for o in (first, second)]
    assert np.array_equal(results[0].predicted, results[1].predicted)
    assert second.processor == first.processor and second.processor.stride == 3


def test_our_processor_files_mean_the_same_to_transformers(tmp_path: Path) -> None:
    objective = load_video(tiny_video_folder(tmp_path))
    processor = AutoImageProcessor.from_pretrained(tmp_path)
    for width, most in ((64, 0.02), (80, 0.1)):  # where something is cut off, it is cut between pixels here
        pixels = frames(width=width, height=64)
        theirs = processor(list(pixels), return_tensors="np")["pixel_values"][0].transpose(0, 2, 3, 1)
        ours = objective.space.normalise(objective.processor.read(lossless(pixels)).windows)[0]
        assert np.abs(theirs - ours).max() < most


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"auto_map": {}, "model_type": "x"}, "never run"),
        ({"model_type": "vivit"}, "'vivit' is not a video model"),
        ({"image_size": [32, 64]}, "must be square"),
        ({"num_frames": 5}, "clips of 5 frames in patches of 2"),
        ({"num_channels": 1}, "1 channels"),
        ({"hidden_size": 64}, "cannot be loaded"),
        ({"num_hidden_layers": 3}, "lack"),
    ],
)
def test_what_cannot_be_loaded_says_why(tmp_path: Path, fields: dict[str, object], message: str) -> None:
    config = json.loads((tiny_video_folder(tmp_path) / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | fields))
    with pytest.raises(InvalidModel, match=message):
        load_video(tmp_path)


@pytest.mark.parametrize("fields", [{"frame_stride": 0}, {"frame_stride": "2"}, {"frame_rate": -1}])
def test_processor_files_that_mean_nothing_are_refused(tmp_path: Path, fields: dict[str, object]) -> None:
    file = tiny_video_folder(tmp_path) / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))
    with pytest.raises(InvalidModel, match="positive numbers"):
        load_video(tmp_path)
