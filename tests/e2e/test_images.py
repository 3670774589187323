"""Pictures over real HTTP: uploaded, trained on by a real worker, watched, published and served."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openai import OpenAI
from PIL import Image

from tests.fakes.cloze import Server, wait_until
from tests.fakes.http import http
from tests.fakes.image_data import picture_zip
from tests.fakes.media import fixture

HYPERPARAMETERS = {
    "image_size": 32,
    "decoder_layers": 1,
    "batch_size": 8,
    "max_steps": 6,
    "eval_interval": 3,
    "validation_fraction": 0.25,
}
PHOTO = fixture("photo.jpg")


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
def job(url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A job that has ended well; its method is that of its preset."""
    archive = picture_zip(tmp_path_factory.mktemp("data") / "pictures.zip", 16, broken=1)
    sent = http.post(f"{url}/v1/files", files={"file": (archive.name, archive.read_bytes())})
    body = {
        "model": "mae-tiny",
        "training_file": sent.json()["id"],
        "name": "pictures",
        "hyperparameters": HYPERPARAMETERS,
    }
    job_id = http.post(f"{url}/v1/pretraining/jobs", json=body).raise_for_status().json()["id"]

    def now() -> dict[str, Any]:
        return dict(http.get(f"{url}/v1/pretraining/jobs/{job_id}").json())

    wait_until(lambda: now()["status"] in {"succeeded", "failed"})
    assert now()["status"] == "succeeded", now()["error"]
    return now()


def test_the_job_says_what_it_left_out_and_how_well_it_guesses(url: str, job: dict[str, Any]) -> None:
    events = http.get(f"{url}/v1/pretraining/jobs/{job['id']}/events", params={"limit": 100}).json()["data"]
    assert any("16 image files; left out" in event["message"] for event in events)
    [last, *_] = [event["data"] for event in events if "eval_psnr" in event["data"]]
    assert last.keys() >= {"eval_loss", "eval_mean_psnr", "eval_interpolation_psnr"}
    assert any("data_wait_share" in event["data"] for event in events)


def test_a_user_watches_the_model_learn_to_see(url: str, job: dict[str, Any]) -> None:
    address = f"{url}/v1/pretraining/jobs/{job['id']}"
    events = http.get(f"{address}/events", params={"limit": 100}).json()["data"]
    named = sorted(event["data"]["artifact"] for event in events if "artifact" in event["data"])
    listed = [each["name"] for each in http.get(f"{address}/artifacts").json()["data"]]
    assert named == listed == ["step-000000000.png", "step-000000003.png", "step-000000006.png"]
    first, _, last = (http.get(f"{address}/artifacts/{name}") for name in listed)
    assert first.headers["content-type"] == "image/png"
    pictures = [np.asarray(Image.open(io.BytesIO(each.content))) for each in (first, last)]
    assert np.array_equal(*(picture[:, :128] for picture in pictures))
    assert not np.array_equal(*pictures)


def test_the_published_model_reconstructs_a_photo(url: str, job: dict[str, Any]) -> None:
    form = {"model": "pictures", "mask_ratio": "0.5"}
    answer = http.post(f"{url}/v1/reconstruct", data=form, files={"file": ("photo.jpg", PHOTO)}).raise_for_status()
    assert answer.json()["model"] == "pictures@1"
    assert np.sum(answer.json()["mask"]) == 8
    shown = http.post(
        f"{url}/v1/reconstruct", data=form, files={"file": ("photo.jpg", PHOTO)}, headers={"accept": "image/png"}
    )
    assert Image.open(io.BytesIO(shown.content)).size == (3 * 128 + 2 * 4, 128)


def test_the_openai_client_embeds_pictures(url: str, job: dict[str, Any]) -> None:
    client = OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0)
    uri = "data:image/jpeg;base64," + base64.b64encode(PHOTO).decode()
    answer = client.embeddings.create(model="pictures", input=[uri, uri])
    assert len(answer.data[0].embedding) == 192
    assert np.linalg.norm(answer.data[0].embedding) == pytest.approx(1, abs=1e-3)
    assert client.models.retrieve("pictures").modality == "image"


def test_the_card_says_how_to_ask(server: Server, job: dict[str, Any]) -> None:
    card = (Path(server.store) / "pictures" / "1" / "README.md").read_text()
    assert "/v1/reconstruct -F model=pictures" in card and "eval_psnr" in card
