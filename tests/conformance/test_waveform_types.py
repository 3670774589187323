"""Every encoder of waveforms gives what transformers gives, alone and in a batch."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers import AutoConfig, AutoModel, Wav2Vec2FeatureExtractor

from app.errors import InvalidModel, InvalidValue
from app.media.audio import decode_audio
from app.modalities.audio import waveform_processor
from app.modalities.audio.waveform import WaveformModel, load_waveform
from app.modalities.audio.waveform_processor import WAVEFORM_MODELS
from app.modalities.embedding import EmbedItem
from app.modalities.registry import load
from app.serving.packing import pack
from app.store.store import ModelStore
from app.types import Pooling, Task
from tests.fakes.imports import import_folder
from tests.fakes.media import fixture
from tests.fakes.perform import perform
from tests.fakes.tiny_audio import sound

FIELDS: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "conv_dim": [16, 16, 16],
    "conv_kernel": [10, 8, 4],
    "conv_stride": [5, 8, 8],
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "conv_pos_kernel_size": 7,
    "num_conv_pos_embedding_layers": 2,
}
RATE = 16_000
FILES = [fixture("tone.flac"), sound(1, 0.7, RATE), sound(2, 0.7, RATE), sound(3, 0.2, RATE)]


def build_folder(folder: Path, model_type: str, **changes: Any) -> Path:
    """A model whose weights, biases and norms are all shaken; `do_normalize` is of its processor file."""
    normalizes = changes.pop("do_normalize", True)
    config = AutoConfig.for_model(model_type, **FIELDS | changes)
    torch.manual_seed(0)
    model = getattr(transformers, WAVEFORM_MODELS[model_type])(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.1)
    model.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(sampling_rate=RATE, do_normalize=normalizes).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=sorted(WAVEFORM_MODELS))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_folder(tmp_path_factory.mktemp("types") / request.param, request.param)


@pytest.fixture(scope="module")
def served(folder: Path) -> WaveformModel:
    model = load(folder)
    assert isinstance(model, WaveformModel)
    return model


def expected_frames(folder: Path, samples: np.ndarray) -> np.ndarray:
    """The last hidden states [frames, H] of one sound, by transformers alone."""
    values = Wav2Vec2FeatureExtractor.from_pretrained(folder)(samples, sampling_rate=RATE, return_tensors="pt")
    with torch.inference_mode():
        return AutoModel.from_pretrained(folder).eval()(values["input_values"]).last_hidden_state[0].numpy()


def expected_of_file(folder: Path, file: bytes) -> np.ndarray:
    return expected_frames(folder, decode_audio(file, sample_rate=RATE))


@pytest.mark.parametrize("pooling", [Pooling.MEAN, Pooling.MAX])
def test_embeddings_are_those_of_transformers(folder: Path, served: WaveformModel, pooling: Pooling) -> None:
    items = [EmbedItem(file, pooling, normalize=False) for file in FILES]
    together = perform(served.tasks[Task.EMBED], items)
    for file, item, batched in zip(FILES, items, together, strict=True):
        frames = expected_of_file(folder, file)
        [alone] = perform(served.tasks[Task.EMBED], [item])
        vector = frames.max(0) if pooling is Pooling.MAX else frames.mean(0)
        assert np.allclose(batched.vector, vector, atol=1e-4)
        assert np.allclose(alone.vector, vector, atol=1e-4)
        assert batched.tokens == len(frames)


def test_packed_for_serving_it_gives_the_same(folder: Path) -> None:
    model = load(folder)
    pack(model.model)
    for result, file in zip(
        perform(model.tasks[Task.EMBED], [EmbedItem(f, normalize=False) for f in FILES]), FILES, strict=True
    ):
        assert np.allclose(result.vector, expected_of_file(folder, file).mean(0), atol=1e-4)


def test_there_is_no_class_token(served: WaveformModel) -> None:
    with pytest.raises(InvalidValue, match="no class token"):
        perform(served.tasks[Task.EMBED], [EmbedItem(FILES[0], Pooling.CLS)])


@pytest.mark.parametrize(
    "changes", [{"do_normalize": False}, {"feat_extract_norm": "layer", "do_stable_layer_norm": True}]
)
def test_variants_are_those_of_transformers(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = build_folder(tmp_path, "wav2vec2", **changes)
    [result] = perform(load(folder).tasks[Task.EMBED], [EmbedItem(FILES[1], normalize=False, output="tokens")])
    assert np.allclose(result.vector, expected_of_file(folder, FILES[1]), atol=1e-4)


def test_a_long_sound_is_encoded_in_windows(tmp_path: Path) -> None:
    folder, seconds = build_folder(tmp_path, "hubert"), waveform_processor.WINDOW_SECONDS
    file = sound(4, seconds + 0.5, RATE)
    samples = decode_audio(file, sample_rate=RATE)
    parts = [expected_frames(folder, part) for part in np.split(samples, [seconds * RATE])]
    handler = load(folder).tasks[Task.EMBED]
    windows, pooled = perform(
        handler, [EmbedItem(file, normalize=False, output="windows"), EmbedItem(file, normalize=False)]
    )
    assert windows.times == ((0.0, seconds), (seconds, len(samples) / RATE))
    assert np.allclose(windows.vector, [part.mean(0) for part in parts], atol=1e-4)
    assert np.allclose(pooled.vector, np.concatenate(parts).mean(0), atol=1e-4)


def test_a_rest_too_short_for_a_window_stays_with_the_one_before(tmp_path: Path) -> None:
    model, seconds = load_waveform(build_folder(tmp_path, "hubert")), waveform_processor.WINDOW_SECONDS
    [result] = perform(model.tasks[Task.EMBED], [EmbedItem(sound(4, seconds + 0.005, RATE))])
    assert len(result.times) == 1


def test_a_sound_shorter_than_a_frame_is_refused(served: WaveformModel) -> None:
    with pytest.raises(InvalidValue, match="the model needs"):
        perform(served.tasks[Task.EMBED], [EmbedItem(sound(4, 0.005, RATE))])


def test_an_import_is_served_from_the_store(tmp_path: Path) -> None:
    folder = build_folder(tmp_path / "wavlm", "wavlm")
    entry = import_folder(ModelStore(tmp_path / "store"), folder, "voices")
    assert (entry.manifest.modality, entry.manifest.tasks) == ("audio", (Task.EMBED,))
    [result] = perform(load(entry.path).tasks[Task.EMBED], [EmbedItem(FILES[0], normalize=False)])
    assert np.allclose(result.vector, expected_of_file(folder, FILES[0]).mean(0), atol=1e-4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"feature_extractor_type": "SeamlessM4TFeatureExtractor"}, "SeamlessM4TFeatureExtractor is not supported"),
        ({"feature_size": 80}, "80 channels"),
        ({"sampling_rate": "fast"}, "at fast Hz"),
    ],
)
def test_a_processor_that_is_not_supported_is_refused(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    file = build_folder(tmp_path, "wav2vec2") / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))
    with pytest.raises(InvalidModel, match=message):
        load_waveform(tmp_path)


def test_an_adapter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match="add_adapter"):
        load_waveform(build_folder(tmp_path, "wav2vec2", add_adapter=True))
