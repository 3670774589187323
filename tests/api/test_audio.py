"""Sounds over HTTP, with a real tiny model."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from fastapi.testclient import TestClient
from PIL import Image

from app.main import create_app
from app.modalities.probe import HEAD, ProbeHead
from app.settings import Settings
from app.store.store import ModelStore
from app.types import Activation, Classifier, ClassifierType, Task
from tests.fakes.imports import import_folder
from tests.fakes.tiny_audio import FRAMES, MEL, RATE, WINDOW, sound, tiny_audio_folder
from tests.fakes.tiny_audio import samples as sound_samples
from tests.fakes.tiny_images import picture, tiny_image_folder
from tests.fakes.tiny_models import tiny_bert_folder

SOUND = sound(0, 1.0, 16000)
URI = "data:audio/flac;base64," + base64.b64encode(SOUND).decode()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("served")
    store = ModelStore(folder / "store")
    for name, source in {
        "sounds": tiny_audio_folder(folder / "sounds"),
        "pictures": tiny_image_folder(folder / "pictures"),
        "text": tiny_bert_folder(folder / "text"),
    }.items():
        import_folder(store, source, name)
    settings = Settings(var_dir=folder / "var", default_model="sounds", device="cpu", dtype="float32", threads=1)
    with TestClient(create_app(settings, store=store)) as client:
        yield client


def reconstruct(client: TestClient, **body: Any) -> Any:
    response = client.post("/v1/reconstruct", json={"input": URI, **body})
    assert response.status_code == 200, response.text
    return response.json()


def heard(part: dict[str, str]) -> np.ndarray:
    assert part["media_type"] == "audio/wav"
    wave, rate = soundfile.read(io.BytesIO(base64.b64decode(part["data"])), dtype="float32")
    assert rate == RATE
    return wave


def test_the_answer_says_what_was_masked_and_lets_it_be_heard(client: TestClient) -> None:
    answer = reconstruct(client, ranges=[[0.4, 0.6]])
    assert (answer["model"], answer["modality"]) == ("sounds@1", "audio")
    assert np.flatnonzero(np.array(answer["mask"]).all(1)).tolist() == [5, 6, 7]
    assert answer["baselines"].keys() == {"mean", "interpolation"} and answer["psnr"] > 0
    original, predicted = (heard(answer["media"][name]) for name in ("original", "predicted"))
    assert len(original) == len(predicted) == RATE
    assert np.abs(original[: RATE // 3] - predicted[: RATE // 3]).max() < 0.01
    assert np.abs(original - predicted).max() > 0.02
    image = Image.open(io.BytesIO(base64.b64decode(answer["media"]["panels"]["data"])))
    assert image.size == (3 * 8 * 100 + 2 * 4, 8 * MEL.n_mels)  # a frame is eight pixels wide
    for name in ("original", "masked", "predicted"):
        one = Image.open(io.BytesIO(base64.b64decode(answer["media"][f"{name}_spectrogram"]["data"])))
        assert one.size == (100, MEL.n_mels)


def test_the_same_seed_gives_the_same_answer_in_a_form_as_in_json(client: TestClient) -> None:
    fields = {"mask_ratio": "0.5", "mask_strategy": "time-frequency", "seed": "7"}
    form = client.post("/v1/reconstruct", data=fields, files={"file": ("a.flac", SOUND)})
    same = reconstruct(client, mask_ratio=0.5, mask_strategy="time-frequency", seed=7)
    assert form.json() == same == reconstruct(client, mask=same["mask"])
    assert same["mask"] != reconstruct(client, mask_ratio=0.5, mask_strategy="time-frequency", seed=8)["mask"]


@pytest.mark.parametrize(("accept", "beginning"), [("image/png", b"\x89PNG"), ("audio/wav", b"RIFF")])
def test_accept_decides_the_form(client: TestClient, accept: str, beginning: bytes) -> None:
    response = client.post("/v1/reconstruct", json={"input": URI}, headers={"accept": accept})
    assert response.headers["content-type"] == accept and response.content.startswith(beginning)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"mask_strategy": "block"}, "mask_strategy"),
        ({"boxes": [[0, 0, 1, 1]]}, "boxes"),
        ({"ranges": [[0.5, 1.5]]}, "ranges"),
        ({"ranges": [[0, 1]]}, "ranges"),
        ({"mask": [[1, 0]]}, "mask"),
        ({"model": "pictures"}, None),
    ],
)
def test_what_cannot_be_done_says_why(client: TestClient, body: dict[str, Any], param: str | None) -> None:
    response = client.post("/v1/reconstruct", json={"input": URI, **body})
    assert response.status_code == 422, response.text
    assert response.json()["error"]["param"] == param


def embed(client: TestClient, **body: Any) -> Any:
    return client.post("/v1/embeddings", json={"input": URI, **body})


def test_sounds_are_embedded_in_the_shape_of_text(client: TestClient) -> None:
    spoken = {"type": "input_audio", "input_audio": {"data": base64.b64encode(SOUND).decode(), "format": "flac"}}
    answer = embed(client, input=[URI, spoken, {"type": "audio_url", "audio_url": {"url": URI}}]).json()
    vectors = np.array([each["embedding"] for each in answer["data"]])
    assert vectors.shape == (3, 32) and np.allclose(vectors, vectors[0])
    assert answer["data"][0].keys() == {"object", "index", "embedding"}
    assert answer["usage"]["total_tokens"] == 3 * 3 * (1 + FRAMES * MEL.n_mels // 64)


def test_windows_come_with_their_times(client: TestClient) -> None:
    short = base64.b64encode(sound(1, 0.2)).decode()
    given = [URI, f"data:audio/flac;base64,{short}"]
    data = embed(client, input=given, output="windows", encoding_format="base64").json()["data"]
    assert [(each["index"], each["window"]) for each in data] == [(0, 0), (0, 1), (0, 2), (1, 0)]
    spans = [(each["start"], each["end"]) for each in data]
    assert np.allclose(spans, [(0, WINDOW), (WINDOW, 2 * WINDOW), (2 * WINDOW, 1.0), (0, 0.2)])
    assert all(len(base64.b64decode(each["embedding"])) == 4 * 32 for each in data)


def test_windows_of_what_has_none(client: TestClient) -> None:
    refused = embed(client, model="text", input="a lion", output="windows")
    assert (refused.status_code, refused.json()["error"]["param"]) == (422, "output")
    photo = base64.b64encode(picture()).decode()
    [only] = embed(client, model="pictures", input=f"data:image/jpeg;base64,{photo}", output="windows").json()["data"]
    assert only.keys() == {"object", "index", "window", "embedding"}
    assert client.post("/v1/embeddings", json={"input": URI, "output": "tokens"}).status_code == 422


def test_sounds_are_classified_by_a_head_on_their_embeddings(client: TestClient, tmp_path: Path) -> None:
    store, rng = client.app.state.services.store, np.random.default_rng(0)  # type: ignore[attr-defined]
    kind = Classifier(
        labels=("bark", "rain"), type=ClassifierType.MULTI_LABEL, activation=Activation.SIGMOID, temperature=2.0
    )
    head = ProbeHead(kind, rng.normal(size=32), np.ones(32), rng.normal(size=(2, 32)), np.zeros(2))
    head.save(tmp_path / HEAD)
    base = store.resolve("sounds")
    changes = {"tasks": (*base.manifest.tasks, Task.CLASSIFY), "classifier": kind}
    store.publish(tmp_path, base.manifest.model_copy(update=changes), name="calls", base=base)

    vector = np.array(embed(client, normalize=False).json()["data"][0]["embedding"])
    expected = 1 / (1 + np.exp(-head.logits(vector) / 2))
    given = [URI, {"type": "audio_url", "audio_url": {"url": URI}}]
    answer = client.post("/v1/classify", json={"model": "calls", "input": given})
    assert answer.status_code == 200, answer.text
    for item in answer.json()["data"]:
        found = {each["label"]: each["score"] for each in item["scores"]}
        np.testing.assert_allclose([found[label] for label in kind.labels], expected, atol=1e-5)
        assert item["labels"] == [label for label, each in zip(kind.labels, expected, strict=True) if each >= 0.5]
    refused = client.post("/v1/classify", json={"model": "calls", "input": "a text"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (422, "input")


def test_a_model_of_sounds_says_so(client: TestClient) -> None:
    model = client.get("/v1/models/sounds").json()
    assert (model["modality"], model["tasks"]) == ("audio", ["embeddings", "reconstruct"])


@pytest.mark.parametrize("channels", [1, 2, 6, 8, 16])
def test_no_number_of_channels_ends_the_server(client: TestClient, channels: int) -> None:
    out = io.BytesIO()
    soundfile.write(out, np.tile(sound_samples(0, 0.5)[:, None], channels), RATE, format="WAV")
    uri = "data:audio/wav;base64," + base64.b64encode(out.getvalue()).decode()
    answer = client.post("/v1/embeddings", json={"input": uri})
    assert answer.status_code == 200 or answer.json()["error"]["code"] == "invalid_data"
    assert client.post("/v1/embeddings", json={"input": URI}).status_code == 200
