"""Videos over real HTTP: uploaded, trained on by a real worker, watched, published and served."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openai import OpenAI
from PIL import Image

from app.media.video import open_video
from tests.fakes.cloze import Server, wait_until
from tests.fakes.http import http
from tests.fakes.media import fixture
from tests.fakes.tiny_videos import video_zip

HYPERPARAMETERS = {
    "image_size": 32,
    "num_frames": 4,
    "stride": 2,
    "decoder_layers": 1,
    "batch_size": 6,
    "max_steps": 4,
    "eval_interval": 2,
    "validation_fraction": 0.25,
}
CLIP = fixture("clip.mp4")  # 30 frames of 64 × 48 pixels in 1.2 s


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
    archive = video_zip(tmp_path_factory.mktemp("data") / "videos.zip", 12, broken=1)
    files = [("videos.zip", archive.read_bytes()), ("clip.mp4", CLIP)]
    sent = [http.post(f"{url}/v1/files", files={"file": file}).raise_for_status().json()["id"] for file in files]
    body = {
        "model": "videomae-tiny",
        "training_files": sent,
        "name": "videos",
        "hyperparameters": HYPERPARAMETERS,
    }
    job_id = http.post(f"{url}/v1/pretraining/jobs", json=body).raise_for_status().json()["id"]

    def now() -> dict[str, Any]:
        return dict(http.get(f"{url}/v1/pretraining/jobs/{job_id}").json())

    wait_until(lambda: now()["status"] in {"succeeded", "failed"})
    assert now()["status"] == "succeeded", now()["error"]
    return now()


def test_the_job_says_what_it_left_out_and_shows_what_it_learns(url: str, job: dict[str, Any]) -> None:
    address = f"{url}/v1/pretraining/jobs/{job['id']}"
    events = http.get(f"{address}/events", params={"limit": 100}).json()["data"]
    assert any("12 video files; left out" in event["message"] for event in events)
    [last, *_] = [event["data"] for event in events if "eval_psnr" in event["data"]]
    assert last.keys() >= {"eval_loss", "eval_mean_psnr", "eval_interpolation_psnr"}
    listed = [each["name"] for each in http.get(f"{address}/artifacts").json()["data"]]
    assert listed == ["step-000000000.png", "step-000000002.png", "step-000000004.png"]
    shown = Image.open(io.BytesIO(http.get(f"{address}/artifacts/{listed[0]}").content))
    assert shown.width == 4 * 132 - 4 and (shown.height + 4) % (3 * 132) == 0


def test_the_published_model_makes_a_film_of_a_real_mp4(url: str, job: dict[str, Any]) -> None:
    form = {"model": "videos", "ranges": "[[0.0, 0.2]]", "boxes": "[[8, 0, 40, 32]]"}
    files = {"file": ("clip.mp4", CLIP)}
    answer = http.post(f"{url}/v1/reconstruct", data=form, files=files).raise_for_status().json()
    assert answer["model"] == "videos@1"
    # Four clips of 0.32 s overlap to cover 1.2 s; of each patch in time in the first 0.2 s, the box is hidden.
    mask = np.array(answer["mask"])
    assert mask.shape == (8, 4, 4) and mask.any((1, 2)).tolist() == [True, True, *[False] * 6]
    film = http.post(f"{url}/v1/reconstruct", data=form, files=files, headers={"accept": "video/mp4"})
    assert film.headers["content-type"] == "video/mp4"
    with open_video(film.content) as video:
        assert (len(video.times), video.width, video.height) == (16, 3 * 128 + 2 * 4, 128)
        assert video.duration == pytest.approx(16 * 0.08, abs=0.01)


def test_the_openai_client_embeds_videos(url: str, job: dict[str, Any]) -> None:
    client = OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0)
    uri = "data:video/mp4;base64," + base64.b64encode(CLIP).decode()
    answer = client.embeddings.create(model="videos", input=[uri])
    assert len(answer.data[0].embedding) == 192
    assert np.linalg.norm(answer.data[0].embedding) == pytest.approx(1, abs=1e-3)
    assert answer.usage.prompt_tokens == 4 * 32  # four clips


def test_files_of_another_kind_are_refused_before_the_job_is_queued(url: str, job: dict[str, Any]) -> None:
    for name, hyperparameters, expected in (
        ("photo.jpg", {}, "expected a video"),
        ("clip.mp4", {"strip_frames": 8}, "expected an image"),
    ):
        sent = http.post(f"{url}/v1/files", files={"file": (name, fixture(name))}).json()["id"]
        body = {"model": "videomae-tiny", "training_file": sent, "hyperparameters": hyperparameters}
        refused = http.post(f"{url}/v1/pretraining/jobs", json=body)
        assert refused.status_code == 422 and expected in refused.json()["error"]["message"]


def test_the_card_says_how_to_ask(server: Server, job: dict[str, Any]) -> None:
    card = (Path(server.store) / "videos" / "1" / "README.md").read_text()
    assert "/v1/reconstruct -F model=videos -F file=@clip.mp4" in card and "eval_psnr" in card
