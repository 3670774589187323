"""AST gives what transformers gives, alone and in a batch."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import ASTConfig, ASTFeatureExtractor, ASTModel

from app.errors import InvalidModel, InvalidValue
from app.media.audio import decode_audio
from app.modalities.audio.ast import AstEncoder, load_ast
from app.modalities.embedding import EmbedItem
from app.modalities.registry import load
from app.serving.packing import pack
from app.store.store import ModelStore
from app.types import Pooling, Task
from tests.fakes.imports import import_folder
from tests.fakes.media import fixture
from tests.fakes.perform import perform
from tests.fakes.tiny_audio import sound

RATE, FRAMES, BANDS, PATCH, STRIDE = 16_000, 64, 32, 8, 5
TIMES, HEIGHT = (FRAMES - PATCH) // STRIDE + 1, (BANDS - PATCH) // STRIDE + 1
WHOLE = [sound(seed, ((FRAMES - 1) * 160 + 400) / RATE, RATE) for seed in (1, 2)]  # windows without padding
FILES = [fixture("tone.flac"), *WHOLE, sound(3, 0.2, RATE)]


def build_folder(folder: Path, *, processor: dict[str, Any] | None = None, **changes: Any) -> Path:
    """A model whose weights, biases and norms are all shaken."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    strides = {"time_stride": STRIDE, "frequency_stride": STRIDE}
    config = ASTConfig(**sizes | strides | {"patch_size": PATCH, "max_length": FRAMES, "num_mel_bins": BANDS} | changes)
    torch.manual_seed(0)
    model = ASTModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.1)
    model.save_pretrained(folder)
    ASTFeatureExtractor(num_mel_bins=BANDS, max_length=FRAMES).save_pretrained(folder)
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | (processor or {})))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_folder(tmp_path_factory.mktemp("types") / "ast")


@pytest.fixture(scope="module")
def served(folder: Path) -> AstEncoder:
    encoder = load(folder)
    assert isinstance(encoder, AstEncoder)
    return encoder


def features(folder: Path, file: bytes) -> np.ndarray:
    """[1, FRAMES, BANDS] by transformers."""
    samples = decode_audio(file, sample_rate=RATE)
    extractor = ASTFeatureExtractor.from_pretrained(folder)
    return np.asarray(extractor(samples, sampling_rate=RATE, return_tensors="np")["input_values"])


def expected_states(folder: Path, file: bytes) -> np.ndarray:
    """The last hidden states [2 + N, H] of the first window of one sound, by transformers alone."""
    with torch.inference_mode():
        model = ASTModel.from_pretrained(folder).eval()
        return model(torch.from_numpy(features(folder, file))).last_hidden_state[0].numpy()


def pool(states: np.ndarray, pooling: Pooling, times: int = TIMES) -> np.ndarray:
    """Over the patches of the first `times`."""
    if pooling is Pooling.CLS:
        return states[0]
    patches = states[2:].reshape(HEIGHT, TIMES, -1)[:, :times]
    return patches.max((0, 1)) if pooling is Pooling.MAX else patches.mean((0, 1))


@pytest.mark.parametrize("changes", [{}, {"do_normalize": False}, {"mean": -3.0, "std": 2.0}])
def test_filter_banks_are_those_of_transformers(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = build_folder(tmp_path, processor=changes)
    encoder = load_ast(folder)
    for file in FILES:
        ours = encoder.space.normalise(encoder.processor.read(file).windows)[0, :, :, 0]
        assert np.allclose(ours, features(folder, file)[0], atol=1e-4)


@pytest.mark.parametrize("pooling", Pooling)
def test_embeddings_are_those_of_transformers(folder: Path, served: AstEncoder, pooling: Pooling) -> None:
    handler = served.tasks[Task.EMBED]
    items = [EmbedItem(file, pooling, normalize=False) for file in WHOLE]
    together = perform(handler, items)
    for file, item, batched in zip(WHOLE, items, together, strict=True):
        expected = pool(expected_states(folder, file), pooling)
        [alone] = perform(handler, [item])
        assert np.allclose(batched.vector, expected, atol=1e-4)
        assert np.allclose(alone.vector, expected, atol=1e-4)
        assert batched.tokens == 2 + TIMES * HEIGHT


def test_padding_is_seen_and_not_pooled(folder: Path, served: AstEncoder) -> None:
    [result] = perform(served.tasks[Task.EMBED], [EmbedItem(FILES[3], normalize=False)])
    frames = (round(0.2 * RATE) - 400) // 160 + 1
    expected = pool(expected_states(folder, FILES[3]), Pooling.MEAN, -(-frames // STRIDE))
    assert np.allclose(result.vector, expected, atol=1e-4)


def test_packed_for_serving_it_gives_the_same(folder: Path) -> None:
    encoder = load(folder)
    pack(encoder.model)
    [result] = perform(encoder.tasks[Task.EMBED], [EmbedItem(WHOLE[0], normalize=False)])
    assert np.allclose(result.vector, pool(expected_states(folder, WHOLE[0]), Pooling.MEAN), atol=1e-4)


def test_a_long_sound_is_encoded_in_windows(folder: Path, served: AstEncoder) -> None:
    file, step = sound(4, 1.5, RATE), FRAMES * 160 / RATE
    [result] = perform(served.tasks[Task.EMBED], [EmbedItem(file, normalize=False, output="windows")])
    assert result.times == ((0.0, step), (step, 2 * step), (2 * step, 1.5))
    expected = pool(expected_states(folder, file), Pooling.MEAN)  # the extractor cuts the rest off
    assert np.allclose(result.vector[0], expected, atol=1e-4)


def test_an_import_is_served_from_the_store(folder: Path, tmp_path: Path) -> None:
    entry = import_folder(ModelStore(tmp_path / "store"), folder, "sounds")
    assert (entry.manifest.modality, entry.manifest.tasks) == ("audio", (Task.EMBED,))
    [result] = perform(load(entry.path).tasks[Task.EMBED], [EmbedItem(WHOLE[0], normalize=False)])
    assert np.allclose(result.vector, pool(expected_states(folder, WHOLE[0]), Pooling.MEAN), atol=1e-4)


def test_a_sound_shorter_than_a_frame_is_refused(served: AstEncoder) -> None:
    with pytest.raises(InvalidValue, match="the model needs 400"):
        perform(served.tasks[Task.EMBED], [EmbedItem(sound(4, 0.005, RATE))])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"feature_extractor_type": "Wav2Vec2FeatureExtractor"}, "Wav2Vec2FeatureExtractor is not supported"),
        ({"sampling_rate": 8000}, "at 8000 Hz"),
        ({"max_length": 100}, r"it gives \(100, 32\) frames and bands"),
        ({"std": 0}, "std 0"),
    ],
)
def test_a_processor_that_is_not_supported_is_refused(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidModel, match=message):
        load_ast(build_folder(tmp_path, processor=fields))
