"""Sounds over real HTTP: uploaded, trained on by a real worker, watched, published and served."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from openai import OpenAI
from PIL import Image

from tests.fakes.cloze import Server, wait_until
from tests.fakes.http import http
from tests.fakes.media import fixture
from tests.fakes.tiny_audio import sound_zip

HYPERPARAMETERS = {
    "sample_rate": 8000,
    "n_mels": 32,
    "window_frames": 48,
    "patch_size": 8,
    "decoder_layers": 1,
    "batch_size": 8,
    "max_steps": 6,
    "eval_interval": 3,
    "validation_fraction": 0.25,
}
FLAC, OGG = fixture("tone.flac"), fixture("tone.ogg")  # a second of 440 Hz each, at 16 kHz


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, warm_processes: dict[str, str]) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("cloze"), environment=warm_processes)
    try:
        yield server
    finally:
        assert server.stop() == 0, server.output


@pytest.fixture(scope="module")
def url(server: Server) -> str:
    return server.wait_for(r"Listening on (http://127\.0\.0\.1:\d+)\n")[1]


@pytest.fixture(scope="module")
def uploaded(url: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    archive = sound_zip(tmp_path_factory.mktemp("data") / "sounds.zip", 16, broken=1, silent=1)
    sent = http.post(f"{url}/v1/files", files={"file": (archive.name, archive.read_bytes())})
    return str(sent.json()["id"])


@pytest.fixture(scope="module")
def job(url: str, uploaded: str) -> dict[str, Any]:
    """A job that has ended well; its method is that of its preset."""
    body = {
        "model": "audiomae-tiny",
        "training_file": uploaded,
        "name": "sounds",
        "hyperparameters": HYPERPARAMETERS,
    }
    job_id = http.post(f"{url}/v1/pretraining/jobs", json=body).raise_for_status().json()["id"]

    def now() -> dict[str, Any]:
        return dict(http.get(f"{url}/v1/pretraining/jobs/{job_id}").json())

    wait_until(lambda: now()["status"] in {"succeeded", "failed"})
    assert now()["status"] == "succeeded", now()["error"]
    return now()


def events(url: str, job: dict[str, Any]) -> list[dict[str, Any]]:
    found = http.get(f"{url}/v1/pretraining/jobs/{job['id']}/events", params={"limit": 100}).json()["data"]
    return list(found)


def test_what_a_job_cannot_do_is_told_before_it_is_queued(url: str, uploaded: str) -> None:
    address = f"{url}/v1/pretraining/jobs/validate"
    good = {"model": "audiomae-tiny", "training_file": uploaded, "hyperparameters": HYPERPARAMETERS}
    assert http.post(address, json=good).status_code == 200
    wrong = good | {"hyperparameters": HYPERPARAMETERS | {"f_max": 5000}}
    refused = http.post(address, json=wrong)
    assert (refused.status_code, refused.json()["error"]["param"]) == (422, "hyperparameters.f_max")
    photo = http.post(f"{url}/v1/files", files={"file": ("photo.jpg", fixture("photo.jpg"))}).json()["id"]
    refused = http.post(address, json=good | {"training_file": photo})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "invalid_data")


def test_the_job_says_what_it_left_out_and_how_well_it_guesses(url: str, job: dict[str, Any]) -> None:
    told = events(url, job)
    assert any("16 audio files; left out" in event["message"] for event in told)
    [last, *_] = [event["data"] for event in told if "eval_psnr" in event["data"]]
    assert last.keys() >= {"eval_loss", "eval_mean_psnr", "eval_interpolation_psnr"}


def test_a_user_watches_the_model_learn_to_hear(url: str, job: dict[str, Any]) -> None:
    address = f"{url}/v1/pretraining/jobs/{job['id']}"
    listed = [each["name"] for each in http.get(f"{address}/artifacts").json()["data"]]
    named = sorted(event["data"]["artifact"] for event in events(url, job) if "artifact" in event["data"])
    assert named == listed == ["step-000000000.png", "step-000000003.png", "step-000000006.png"]
    first, _, last = (http.get(f"{address}/artifacts/{name}").content for name in listed)
    assert Image.open(io.BytesIO(first)).size == Image.open(io.BytesIO(last)).size
    assert first != last


@pytest.mark.parametrize("name", ["tone.flac", "tone.ogg"])
def test_the_published_model_reconstructs_a_sound(url: str, job: dict[str, Any], name: str) -> None:
    form = {"model": "sounds", "ranges": "[[0.2, 0.3], [0.7, 0.75]]"}
    files = {"file": (name, fixture(name))}
    answer = http.post(f"{url}/v1/reconstruct", data=form, files=files).raise_for_status().json()
    assert answer["model"] == "sounds@1"
    assert np.flatnonzero(np.all(answer["mask"], axis=1)).tolist() == [2, 3, 8, 9]  # rows of 0.08 s
    heard = http.post(f"{url}/v1/reconstruct", data=form, files=files, headers={"accept": "audio/wav"})
    wave, rate = soundfile.read(io.BytesIO(heard.content))
    assert rate == 8000 and len(wave) == pytest.approx(8000, abs=100)
    assert base64.b64decode(answer["media"]["predicted"]["data"]) == heard.content
    seen = http.post(f"{url}/v1/reconstruct", data=form, files=files, headers={"accept": "image/png"})
    assert Image.open(io.BytesIO(seen.content)).format == "PNG"


def test_the_openai_client_embeds_sounds(url: str, job: dict[str, Any]) -> None:
    client = OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0)
    uris = [
        f"data:audio/{kind};base64," + base64.b64encode(content).decode()
        for kind, content in (("flac", FLAC), ("ogg", OGG))
    ]
    answer = client.embeddings.create(model="sounds", input=uris)
    flac, ogg = (np.array(each.embedding) for each in answer.data)
    assert flac.shape == (192,) and np.dot(flac, ogg) > 0.9
    windows = client.embeddings.create(model="sounds", input=uris[0], extra_body={"output": "windows"}).data
    spans = [(each.model_extra or {})["start"] for each in windows]
    assert np.allclose(spans, [0, 0.48, 0.96])
    assert client.models.retrieve("sounds").modality == "audio"


def test_the_model_can_be_trained_on(url: str, uploaded: str, job: dict[str, Any]) -> None:
    body = {"model": "sounds", "training_file": uploaded, "hyperparameters": {"max_steps": 2, "batch_size": 4}}
    answer = http.post(f"{url}/v1/pretraining/jobs/validate", json=body)
    assert answer.status_code == 200, answer.text
    refused = http.post(f"{url}/v1/pretraining/jobs/validate", json=body | {"hyperparameters": {"sample_rate": 16_000}})
    assert refused.json()["error"]["param"] == "hyperparameters.sample_rate"


def test_the_card_says_how_to_ask(server: Server, job: dict[str, Any]) -> None:
    card = (Path(server.store) / "sounds" / "1" / "README.md").read_text()
    assert "/v1/reconstruct -F model=sounds -F file=@sound.flac" in card and "eval_psnr" in card


def test_wav2vec2_trains_on_the_same_sounds_and_embeds(server: Server, url: str, uploaded: str) -> None:
    method = {"batch_size": 4, "crop_seconds": 0.5, "max_steps": 2, "validation_fraction": 0.25}
    body = {
        "model": "wav2vec2-tiny",
        "training_file": uploaded,
        "name": "waves",
        "method": {"type": "wav2vec2", "wav2vec2": {"hyperparameters": method}},
    }
    estimate = http.post(f"{url}/v1/pretraining/jobs/validate", json=body).raise_for_status().json()["estimate"]
    assert estimate["training_tokens"] == 2 * 4 * 24 and estimate["memory_bytes"] > 4 * 4 * 2_000_000
    address = f"{url}/v1/pretraining/jobs/" + http.post(f"{url}/v1/pretraining/jobs", json=body).json()["id"]
    wait_until(lambda: http.get(address).json()["status"] in {"succeeded", "failed"})
    assert http.get(address).json()["status"] == "succeeded", http.get(address).json()["error"]
    uri = "data:audio/flac;base64," + base64.b64encode(FLAC).decode()
    [answer] = http.post(f"{url}/v1/embeddings", json={"model": "waves", "input": uri}).json()["data"]
    assert len(answer["embedding"]) == 192
    card = (Path(server.store) / "waves" / "1" / "README.md").read_text()
    assert "eval_chance_accuracy" in card and "wav2vec2" in card and "Limitations" not in card
    again = http.post(f"{url}/v1/pretraining/jobs/validate", json=body | {"model": "waves"})
    assert again.status_code == 200, again.text
