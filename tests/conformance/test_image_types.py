"""Every architecture of transformers that encodes images gives what transformers gives, alone and in a batch."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoModel, SiglipImageProcessorPil

from app.errors import InvalidModel, InvalidValue
from app.modalities.embedding import EmbedItem
from app.modalities.image.encoder import EncoderObjective, load_encoder
from app.modalities.image.encoder_types import ENCODERS
from app.modalities.reconstruction import ReconstructItem
from app.modalities.registry import load
from app.serving.packing import pack
from app.store.store import ModelStore
from app.types import Pooling, Task
from tests.conformance.image_types import SIZE, TYPES, build_folder, build_model, save_folder
from tests.fakes.imports import import_folder
from tests.fakes.media import fixture
from tests.fakes.perform import perform
from tests.fakes.tiny_images import picture

FILES = [fixture("photo.png"), picture(1, 50, 40, "PNG"), picture(2, 33, 77, "PNG")]
FIRST = {"beit": 1, "clip": 1, "data2vec-vision": 1, "deit": 2, "dinov2": 1, "dinov2_with_registers": 4}
FIRST |= {"clip_vision_model": 1, "dinov3_vit": 4}
WITH_HEAD = ["deit", "focalnet", "swin", "swinv2"]


def test_all_types_are_tried() -> None:
    assert set(TYPES) == set(ENCODERS)


@pytest.fixture(scope="module", params=TYPES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_folder(tmp_path_factory.mktemp("types") / request.param, request.param)


@pytest.fixture(scope="module")
def served(folder: Path) -> EncoderObjective:
    objective = load(folder)
    assert isinstance(objective, EncoderObjective)
    return objective


def expected_pixels(folder: Path, file: bytes) -> torch.Tensor:
    """[1, C, H, W] by transformers; DINOv3's processor needs torchvision, which does this."""
    image = Image.open(io.BytesIO(file)).convert("RGB")
    processor = ENCODERS[folder.name].processor
    if processor != "DINOv3ViT":
        found = getattr(transformers, f"{processor}ImageProcessorPil").from_pretrained(folder)
        return found(image, return_tensors="pt")["pixel_values"]
    unit = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 255
    resized = F.interpolate(unit, (SIZE, SIZE), mode="bilinear", antialias=True, align_corners=False)
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    return (resized - mean) / std


def expected_tokens(folder: Path, file: bytes) -> np.ndarray:
    """The last hidden states [tokens, H] of one image, by transformers alone."""
    model = AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        tower = getattr(model, "vision_model", model) if folder.name in ("clip", "siglip") else model
        return tower(pixel_values=expected_pixels(folder, file)).last_hidden_state[0].numpy()


def test_images_are_prepared_as_transformers_prepares_them(folder: Path, served: EncoderObjective) -> None:
    for file in FILES:
        ours = served.space.normalise(served.processor.read(file).windows)
        theirs = np.moveaxis(expected_pixels(folder, file).numpy(), 1, -1)
        assert np.abs(ours - theirs).max() < 1e-5


def test_a_picture_far_too_long_is_prepared_alike(tmp_path: Path) -> None:
    folder = build_folder(tmp_path / "dinov2", "dinov2")
    objective, file = load_encoder(folder), picture(3, 4, 60_000, "PNG")
    ours = objective.space.normalise(objective.processor.read(file).windows)
    theirs = np.moveaxis(expected_pixels(folder, file).numpy(), 1, -1)
    assert np.abs((ours - theirs) * np.array(objective.processor.std)).max() < 1.5 / 255


@pytest.mark.parametrize("pooling", Pooling)
def test_embeddings_are_those_of_transformers(folder: Path, served: EncoderObjective, pooling: Pooling) -> None:
    handler, first = served.tasks[Task.EMBED], FIRST.get(folder.name, 0)
    items = [EmbedItem(file, pooling, normalize=False) for file in FILES]
    if pooling is Pooling.CLS and not first:
        with pytest.raises(InvalidValue, match="no class token"):
            perform(handler, items)
        return
    together = perform(handler, items)
    for file, item, batched in zip(FILES, items, together, strict=True):
        tokens = expected_tokens(folder, file)
        pool = {Pooling.CLS: tokens[0], Pooling.MEAN: tokens[first:].mean(0), Pooling.MAX: tokens[first:].max(0)}
        [alone] = perform(handler, [item])
        assert np.allclose(batched.vector, pool[pooling], atol=1e-4)
        assert np.allclose(alone.vector, pool[pooling], atol=1e-4)
        assert batched.tokens == len(tokens)


def test_packed_for_serving_it_gives_the_same(folder: Path) -> None:
    objective, first = load(folder), FIRST.get(folder.name, 0)
    pack(objective.model)
    results = perform(objective.tasks[Task.EMBED], [EmbedItem(file, normalize=False) for file in FILES])
    for result, file in zip(results, FILES, strict=True):
        assert np.allclose(result.vector, expected_tokens(folder, file)[first:].mean(0), atol=1e-4)


def test_tokens_are_those_of_transformers(folder: Path, served: EncoderObjective) -> None:
    [result] = perform(served.tasks[Task.EMBED], [EmbedItem(FILES[0], normalize=False, output="tokens")])
    assert np.allclose(result.vector, expected_tokens(folder, FILES[0]), atol=1e-4)
    assert served.dimensions == result.vector.shape[-1]


def test_a_head_for_masked_images_reconstructs(folder: Path, served: EncoderObjective) -> None:
    assert set(served.tasks) == ({Task.EMBED, Task.RECONSTRUCT} if folder.name in WITH_HEAD else {Task.EMBED})
    if folder.name in WITH_HEAD:
        [result] = perform(served.tasks[Task.RECONSTRUCT], [ReconstructItem(FILES[1])])
        assert np.isfinite(result.predicted).all()


@pytest.mark.parametrize("model_type", WITH_HEAD)
def test_an_encoder_without_its_head_embeds_alike(tmp_path: Path, model_type: str) -> None:
    whole = load(build_folder(tmp_path / "whole", model_type))
    bare = load(save_folder(tmp_path / "bare", build_model(model_type).base_model, model_type))
    assert set(bare.tasks) == {Task.EMBED}
    vectors = [perform(each.tasks[Task.EMBED], [EmbedItem(FILES[0])])[0].vector for each in (whole, bare)]
    assert np.allclose(*vectors, atol=1e-5)


def test_an_import_is_served_from_the_store(tmp_path: Path) -> None:
    folder = build_folder(tmp_path / "dinov2", "dinov2")
    entry = import_folder(ModelStore(tmp_path / "store"), folder, "dino")
    assert (entry.manifest.architecture, entry.manifest.tasks) == ("dinov2", (Task.EMBED,))
    [result] = perform(load(entry.path).tasks[Task.EMBED], [EmbedItem(FILES[0], Pooling.CLS, normalize=False)])
    assert np.allclose(result.vector, expected_tokens(folder, FILES[0])[0], atol=1e-4)


def test_bfloat16_is_near(tmp_path: Path) -> None:
    folder = build_folder(tmp_path, "beit")
    vectors = [
        perform(load(folder, dtype).tasks[Task.EMBED], [EmbedItem(FILES[0])])[0].vector
        for dtype in (torch.float32, torch.bfloat16)
    ]
    assert float(vectors[0] @ vectors[1]) > 0.99


@pytest.mark.parametrize(
    ("model_type", "fields", "message"),
    [
        ("beit", {"do_pad": True}, "do_pad is not supported"),
        ("beit", {"do_resize": False}, "do_resize"),
        ("beit", {"do_flip_channel_order": True}, "do_flip_channel_order is not supported"),
        ("beit", {"rescale_factor": 1 / 127.5}, "rescale_factor"),
        ("beit", {"size": {"height": SIZE, "width": 48}}, "must see squares"),
        ("beit", {"size": {"longest_edge": SIZE}}, "longest_edge is not supported"),
        ("beit", {"size": 48}, "gives images of 48 pixels, and the model reads 32"),
        ("beit", {"feature_extractor_type": "ConvNextFeatureExtractor"}, "ConvNextFeatureExtractor is not supported"),
        ("beit", {"image_mean": [0.5]}, "1 channels"),
        ("beit", {"size": "large"}, "not understood"),
        ("dinov2", {"crop_size": 36}, "36 pixels in cells of 8"),
        ("dinov2", {"crop_size": 48}, "cannot be cut"),
        ("dinov2", {"do_center_crop": False}, "must see squares"),
    ],
)
def test_a_step_that_is_not_supported_is_refused_by_name(
    tmp_path: Path, model_type: str, fields: dict[str, object], message: str
) -> None:
    folder = build_folder(tmp_path, model_type, **fields)
    with pytest.raises(InvalidModel, match=message):
        load_encoder(folder)


def test_a_processor_of_images_and_texts_is_read(tmp_path: Path) -> None:
    folder = build_folder(tmp_path / "siglip", "siglip")
    apart = load_encoder(folder)
    image_processor = SiglipImageProcessorPil.from_pretrained(folder)
    (folder / "preprocessor_config.json").unlink()
    whole = {"image_processor": image_processor.to_dict(), "processor_class": "SiglipProcessor"}
    (folder / "processor_config.json").write_text(json.dumps(whole))
    together = load_encoder(folder)
    for file in FILES:
        assert np.array_equal(apart.processor.read(file).windows, together.processor.read(file).windows)


def test_a_folder_without_a_processor_file_is_refused(tmp_path: Path) -> None:
    (build_folder(tmp_path, "dinov2") / "preprocessor_config.json").unlink()
    with pytest.raises(InvalidModel, match=r"no preprocessor_config\.json"):
        load_encoder(tmp_path)


def test_missing_weights_and_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    folder = build_folder(tmp_path, "dinov2")
    weights = load_file(folder / "model.safetensors")
    save_file(weights | {"layernorm.weight": weights["layernorm.weight"] * torch.inf}, folder / "model.safetensors")
    with pytest.raises(InvalidModel, match="hidden states"):
        load_encoder(folder)
    weights.pop("layernorm.weight")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InvalidModel, match=r"lack 1 tensors of its encoder, layernorm\.weight"):
        load_encoder(folder)


def test_a_stride_that_is_not_the_cell_is_refused(tmp_path: Path) -> None:
    folder = save_folder(tmp_path, build_model("deit", encoder_stride=16), "deit")
    with pytest.raises(InvalidModel, match="encoder_stride is 16"):
        load_encoder(folder)


@pytest.mark.parametrize(
    ("kind", "reason"), [("beit", "predicts visual tokens"), ("dinov2", "predicts nothing for masked patches")]
)
def test_an_encoder_says_why_it_reconstructs_nothing(tmp_path: Path, kind: str, reason: str) -> None:
    entry = import_folder(ModelStore(tmp_path / "store"), build_folder(tmp_path, kind), "encoder")
    assert reason in entry.manifest.unsupported[Task.RECONSTRUCT]
    assert reason in (entry.path / "README.md").read_text()
