"""Every encoder of videos gives what transformers gives, alone and in a batch."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from transformers import AutoConfig, AutoModel

from app.errors import InvalidModel, InvalidValue
from app.modalities.embedding import EmbedItem
from app.modalities.registry import load
from app.modalities.video.encoder import VideoEncoder, load_video_encoder
from app.modalities.video.encoder_types import VIDEO_ENCODERS
from app.serving.packing import pack
from app.store.store import ModelStore
from app.types import Pooling, Task
from tests.fakes.imports import import_folder
from tests.fakes.perform import perform
from tests.fakes.tiny_videos import frames, lossless

SIZE, FRAMES = 32, 4
_COMMON: dict[str, Any] = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "image_size": SIZE,
    "num_frames": FRAMES,
}
FIELDS: dict[str, dict[str, Any]] = {
    "timesformer": _COMMON | {"patch_size": 8},
    "vivit": _COMMON | {"tubelet_size": [2, 8, 8]},
    "vjepa2": {
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "crop_size": SIZE,
        "frames_per_clip": FRAMES,
        "patch_size": 8,
        "pred_hidden_size": 24,
        "pred_num_attention_heads": 2,
        "pred_num_hidden_layers": 1,
    },
}
SQUARE = {"height": SIZE, "width": SIZE}
# As the published models of the type have it, but for the stride.
PROCESSORS: dict[str, tuple[str, dict[str, Any]]] = {
    "timesformer": (
        "preprocessor_config.json",
        {"feature_extractor_type": "VideoMAEFeatureExtractor", "size": {"shortest_edge": SIZE}, "crop_size": SQUARE}
        | {"image_mean": [0.45] * 3, "image_std": [0.225] * 3},
    ),
    "vivit": (
        "preprocessor_config.json",
        {"image_processor_type": "VivitImageProcessor", "size": {"shortest_edge": 36}, "crop_size": SQUARE}
        | {"offset": True, "rescale_factor": 1 / 127.5},
    ),
    "vjepa2": (
        "video_preprocessor_config.json",
        {"video_processor_type": "VJEPA2VideoProcessor", "size": {"shortest_edge": 292}, "crop_size": SIZE},
    ),
}
CLIPS = [frames(0), frames(1, FRAMES, 50, 33), frames(2, FRAMES, 20, 48)]
FILES = [lossless(clip) for clip in CLIPS]


def build_folder(folder: Path, model_type: str, *, processor: dict[str, Any] | None = None, **changes: Any) -> Path:
    """A model whose weights, biases and norms are all shaken."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(model_type, **FIELDS[model_type] | changes)
    model = getattr(transformers, VIDEO_ENCODERS[model_type].model_class)(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.1)
    model.save_pretrained(folder)
    name, fields = PROCESSORS[model_type]
    (folder / name).write_text(json.dumps(fields | {"frame_stride": 1} | (processor or {})))
    return folder


def expected_pixels(model_type: str, clip: np.ndarray) -> torch.Tensor:
    """[1, T, C, H, W] by transformers. Its V-JEPA 2 processor needs torchvision; it resizes and crops as this one."""
    fields = PROCESSORS[model_type][1]
    pictures = [Image.fromarray(frame) for frame in clip]
    if model_type == "vjepa2":
        size = {"shortest_edge": int(SIZE * 256 / 224)}
        mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
        bit = transformers.BitImageProcessorPil(size=size, crop_size=SIZE, image_mean=mean, image_std=std, resample=2)
        return bit(pictures, return_tensors="pt")["pixel_values"][None]
    kind = {"timesformer": transformers.VideoMAEImageProcessorPil, "vivit": transformers.VivitImageProcessor}
    return kind[model_type](**fields)([pictures], return_tensors="pt")["pixel_values"]


def expected_tokens(folder: Path, clip: np.ndarray) -> np.ndarray:
    """The last hidden states [tokens, H] of one clip, by transformers alone."""
    kind = VIDEO_ENCODERS[folder.name]
    with torch.inference_mode():
        model = AutoModel.from_pretrained(folder).eval()
        return model(**{kind.pixels: expected_pixels(folder.name, clip)}).last_hidden_state[0].numpy()


@pytest.fixture(scope="module", params=sorted(VIDEO_ENCODERS))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_folder(tmp_path_factory.mktemp("types") / request.param, request.param)


@pytest.fixture(scope="module")
def served(folder: Path) -> VideoEncoder:
    encoder = load(folder)
    assert isinstance(encoder, VideoEncoder)
    return encoder


def test_frames_are_prepared_as_transformers_prepares_them(folder: Path, served: VideoEncoder) -> None:
    for file, clip in zip(FILES, CLIPS, strict=True):
        ours = served.space.normalise(served.processor.read(file).windows)
        theirs = np.moveaxis(expected_pixels(folder.name, clip).numpy(), 2, -1)
        assert np.abs(ours - theirs).max() < 1e-5


@pytest.mark.parametrize("pooling", Pooling)
def test_embeddings_are_those_of_transformers(folder: Path, served: VideoEncoder, pooling: Pooling) -> None:
    handler, first = served.tasks[Task.EMBED], VIDEO_ENCODERS[folder.name].class_tokens
    items = [EmbedItem(file, pooling, normalize=False) for file in FILES]
    if pooling is Pooling.CLS and not first:
        with pytest.raises(InvalidValue, match="no class token"):
            perform(handler, items)
        return
    together = perform(handler, items)
    for clip, item, batched in zip(CLIPS, items, together, strict=True):
        tokens = expected_tokens(folder, clip)
        pool = {Pooling.CLS: tokens[0], Pooling.MEAN: tokens[first:].mean(0), Pooling.MAX: tokens[first:].max(0)}
        [alone] = perform(handler, [item])
        assert np.allclose(batched.vector, pool[pooling], atol=1e-4)
        assert np.allclose(alone.vector, pool[pooling], atol=1e-4)
        assert batched.tokens == len(tokens)


def test_packed_for_serving_it_gives_the_same(folder: Path) -> None:
    encoder, first = load(folder), VIDEO_ENCODERS[folder.name].class_tokens
    pack(encoder.model)
    results = perform(encoder.tasks[Task.EMBED], [EmbedItem(file, normalize=False) for file in FILES])
    for result, clip in zip(results, CLIPS, strict=True):
        assert np.allclose(result.vector, expected_tokens(folder, clip)[first:].mean(0), atol=1e-4)


def test_tokens_are_those_of_transformers(folder: Path, served: VideoEncoder) -> None:
    assert set(served.tasks) == {Task.EMBED}
    [result] = perform(served.tasks[Task.EMBED], [EmbedItem(FILES[0], normalize=False, output="tokens")])
    assert np.allclose(result.vector, expected_tokens(folder, CLIPS[0]), atol=1e-4)


def test_a_long_video_is_several_clips(folder: Path, served: VideoEncoder) -> None:
    film, first = frames(5, 2 * FRAMES), VIDEO_ENCODERS[folder.name].class_tokens
    [result] = perform(served.tasks[Task.EMBED], [EmbedItem(lossless(film), normalize=False, output="windows")])
    expected = [expected_tokens(folder, clip)[first:].mean(0) for clip in np.split(film, 2)]
    assert np.allclose(result.vector, expected, atol=1e-4)
    assert result.times == ((0.0, 0.5), (0.5, 1.0))


def test_every_second_frame_is_seen_with_a_stride_of_two(tmp_path: Path) -> None:
    folder, film = build_folder(tmp_path / "vjepa2", "vjepa2", processor={"frame_stride": 2}), frames(6, 2 * FRAMES)
    [result] = perform(load(folder).tasks[Task.EMBED], [EmbedItem(lossless(film), normalize=False)])
    assert np.allclose(result.vector, expected_tokens(folder, film[::2]).mean(0), atol=1e-4)


def test_an_import_is_served_from_the_store(folder: Path, tmp_path: Path) -> None:
    entry = import_folder(ModelStore(tmp_path / "store"), folder, "films")
    assert (entry.manifest.modality, entry.manifest.tasks) == ("video", (Task.EMBED,))
    first = VIDEO_ENCODERS[folder.name].class_tokens
    [result] = perform(load(entry.path).tasks[Task.EMBED], [EmbedItem(FILES[0], normalize=False)])
    assert np.allclose(result.vector, expected_tokens(folder, CLIPS[0])[first:].mean(0), atol=1e-4)


def test_joint_attention_is_that_of_transformers(tmp_path: Path) -> None:
    folder = build_folder(tmp_path / "timesformer", "timesformer", attention_type="joint_space_time")
    [result] = perform(load(folder).tasks[Task.EMBED], [EmbedItem(FILES[1], normalize=False)])
    assert np.allclose(result.vector, expected_tokens(folder, CLIPS[1])[1:].mean(0), atol=1e-4)


def test_a_video_processor_within_processor_config_is_read(tmp_path: Path) -> None:
    folder = build_folder(tmp_path / "vjepa2", "vjepa2")
    apart, file = load_video_encoder(folder), folder / "video_preprocessor_config.json"
    (folder / "processor_config.json").write_text(json.dumps({"video_processor": json.loads(file.read_text())}))
    file.unlink()
    assert np.array_equal(
        apart.processor.read(FILES[1]).windows, load_video_encoder(folder).processor.read(FILES[1]).windows
    )


@pytest.mark.parametrize(
    ("model_type", "changes", "processor", "message"),
    [
        ("timesformer", {"attention_type": "space_only"}, {}, "hidden states"),
        ("timesformer", {"num_channels": 1}, {}, "only RGB and squares"),
        ("timesformer", {}, {"crop_size": 24}, "frames of 24 pixels, and the model reads 32"),
        ("timesformer", {}, {"do_sample_frames": True, "num_frames": 4}, "do_sample_frames is not supported"),
        ("timesformer", {}, {"feature_extractor_type": "CLIPFeatureExtractor"}, "CLIPFeatureExtractor is not supp"),
        ("timesformer", {}, {"frame_stride": 0}, "should be positive"),
        ("vivit", {}, {"offset": False}, "offset"),
        ("vivit", {"tubelet_size": [3, 8, 8]}, {}, "cannot be cut"),
        ("vjepa2", {}, {"rescale_factor": 1 / 127.5}, "rescale_factor"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(
    tmp_path: Path, model_type: str, changes: dict[str, Any], processor: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidModel, match=message):
        load_video_encoder(build_folder(tmp_path, model_type, processor=processor, **changes))


def test_a_folder_without_a_processor_file_is_refused(tmp_path: Path) -> None:
    (build_folder(tmp_path, "vjepa2") / "video_preprocessor_config.json").unlink()
    with pytest.raises(InvalidModel, match=r"no video_preprocessor_config\.json"):
        load_video_encoder(tmp_path)
