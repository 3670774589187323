"""Videos over HTTP, with a real tiny model."""

import base64
import io
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from app.main import create_app
from app.media.video import open_video
from app.settings import Settings
from app.store.store import ModelStore
from tests.fakes.imports import import_folder
from tests.fakes.media import fixture
from tests.fakes.tiny_videos import mp4, tiny_video_folder

CLIP = mp4(width=48, height=64)  # half a second, upright
URI = "data:video/mp4;base64," + base64.b64encode(CLIP).decode()
LONG = "data:video/mp4;base64," + base64.b64encode(mp4(count=12)).decode()
PANELS = (128, 3 * 128 + 2 * 4)  # height and width


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("served")
    store = ModelStore(folder / "store")
    for name, source in {
        "video": tiny_video_folder(folder / "video"),
        "bare": tiny_video_folder(folder / "bare", head=False),
    }.items():
        import_folder(store, source, name)
    settings = Settings(var_dir=folder / "var", default_model="video", device="cpu", dtype="float32", threads=1)
    with TestClient(create_app(settings, store=store)) as client:
        yield client


def reconstruct(client: TestClient, **body: Any) -> Any:
    response = client.post("/v1/reconstruct", json={"input": URI, **body})
    assert response.status_code == 200, response.text
    return response.json()


def film(content: bytes) -> np.ndarray:
    with open_video(content) as video:
        return video.read(range(len(video.times)))


def test_the_answer_shows_films_of_what_was_masked_and_guessed(client: TestClient) -> None:
    answer = reconstruct(client)
    assert (answer["model"], answer["modality"]) == ("video@1", "video")
    mask = np.array(answer["mask"])
    assert mask.shape == (2, 4, 4) and np.array_equal(mask[0], mask[1]) and mask[0].sum() == 14
    assert answer["loss"] > 0 and answer["baselines"]["interpolation"] > 5 and answer["usage"]["total_tokens"] == 32
    media = {name: (part["media_type"], base64.b64decode(part["data"])) for name, part in answer["media"].items()}
    assert {name: kind for name, (kind, _) in media.items()} == {
        "original": "video/mp4",
        "masked": "video/mp4",
        "predicted": "video/mp4",
        "panels": "image/webp",
        "sheet": "image/png",
    }
    original, masked, predicted = (film(media[name][1]) for name in ("original", "masked", "predicted"))
    assert original.shape == masked.shape == predicted.shape == (4, 32, 32, 3)
    pixel_mask = np.kron(mask, np.ones((2, 8, 8))).astype(bool)
    assert np.abs(masked[pixel_mask].astype(int) - 128).mean() < 6  # as H.264 keeps it
    assert np.abs(masked[~pixel_mask].astype(int) - original[~pixel_mask]).mean() < 12
    assert film(media["panels"][1]).shape == (4, *PANELS, 3)
    assert Image.open(io.BytesIO(media["sheet"][1])).size == (4 * 132 - 4, 3 * 132 - 4)


@pytest.mark.parametrize("form", ["video/mp4", "image/webp", "image/png"])
def test_accept_decides_the_form(client: TestClient, form: str) -> None:
    response = client.post("/v1/reconstruct", json={"input": LONG}, headers={"accept": form})
    assert response.headers["content-type"] == form
    if form == "image/png":
        assert Image.open(io.BytesIO(response.content)).size == (8 * 132 - 4, 3 * 132 - 4)
    else:
        with open_video(response.content) as video:
            assert (len(video.times), video.height, video.width) == (12, *PANELS)
            assert video.duration == pytest.approx(1.5, abs=0.01)


def test_films_are_what_browsers_play(client: TestClient) -> None:
    import av

    content = client.post("/v1/reconstruct", json={"input": URI}, headers={"accept": "video/mp4"}).content
    with av.open(io.BytesIO(content)) as container:
        [stream] = container.streams.video
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert stream.width % 2 == stream.height % 2 == 0


def test_frames_next_to_no_time_apart_are_rendered_slower(client: TestClient) -> None:
    import av

    out = io.BytesIO()
    with av.open(out, "w", format="mp4", options={"video_track_timescale": "2000000000"}) as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 2_000_000_000)
        packets = []
        for number in range(2):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 100 * number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, stream.time_base
            frame.duration = 1
            packets += stream.encode(frame)
        for packet in (*packets, *stream.encode()):
            packet.duration = 1
            container.mux(packet)
    with open_video(out.getvalue()) as video:
        assert video.duration < 1e-6
    uri = "data:video/mp4;base64," + base64.b64encode(out.getvalue()).decode()
    response = client.post("/v1/reconstruct", json={"input": uri}, headers={"accept": "video/mp4"})
    assert response.status_code == 200, response.text
    assert len(film(response.content)) == 4


def test_the_same_seed_gives_the_same_answer(client: TestClient) -> None:
    assert reconstruct(client, seed=1) == reconstruct(client, seed=1)
    assert reconstruct(client, seed=1)["mask"] != reconstruct(client, seed=2)["mask"]


def test_a_form_takes_any_kind_of_video(client: TestClient) -> None:
    for name in ("clip.webm", "variable.mp4", "animated.gif", "animated.webp", "animated.png"):
        fields = {"mask_strategy": "random", "mask_ratio": "0.5", "seed": "7"}
        answer = client.post("/v1/reconstruct", data=fields, files={"file": (name, fixture(name))})
        assert answer.status_code == 200, answer.text
        mask = np.array(answer.json()["mask"])
        assert mask.shape[1:] == (4, 4) and mask.sum() == mask.size / 2


def test_boxes_ranges_and_grids_hide_what_they_say(client: TestClient) -> None:
    # 48 × 64 pixels: the square in the middle begins at row 8, a patch is 12 pixels and a quarter of a second.
    boxed = np.array(reconstruct(client, boxes=[[0, 8, 12, 20]])["mask"])
    assert np.argwhere(boxed).tolist() == [[0, 0, 0], [1, 0, 0]]
    both = np.array(reconstruct(client, boxes=[[0, 8, 12, 20]], ranges=[[0.3, 0.4]])["mask"])
    assert np.argwhere(both).tolist() == [[1, 0, 0]]
    timed = np.array(reconstruct(client, input=LONG, ranges=[[0.5, 1.0]])["mask"])  # all of the second clip
    assert timed.shape == (6, 4, 4) and timed.all((1, 2)).tolist() == [False, False, True, True, False, False]
    grid = (np.arange(32).reshape(2, 4, 4) % 2).tolist()
    assert reconstruct(client, mask=grid)["mask"] == grid


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": "bare"}, "model"),
        ({"mask_strategy": "block"}, "mask_strategy"),
        ({"mask": [[[1]]]}, "mask"),
        ({"boxes": [[0, 0, 99, 9]]}, "boxes"),
        ({"boxes": [[0, 0, 48, 7]]}, "boxes"),  # above the square that the model sees
        ({"ranges": [[0, 1]]}, "ranges"),
        ({"ranges": [[0, 0.5]]}, "ranges"),  # all of it
        ({"input": base64.b64encode(fixture("photo.jpg")).decode()}, None),
        ({"input": base64.b64encode(CLIP[:700]).decode()}, None),
    ],
)
def test_what_cannot_be_done_says_why(client: TestClient, body: dict[str, Any], param: str | None) -> None:
    response = client.post("/v1/reconstruct", json={"input": URI, **body})
    assert response.status_code == 422, response.text
    assert response.json()["error"]["param"] == param


def test_videos_are_embedded_long_ones_as_the_mean_of_their_clips(client: TestClient) -> None:
    typed = {"type": "video_url", "video_url": {"url": URI}}
    answer = client.post("/v1/embeddings", json={"model": "bare", "input": [URI, typed, LONG]}).json()
    vectors = np.array([each["embedding"] for each in answer["data"]])
    assert vectors.shape == (3, 32) and np.allclose(vectors[0], vectors[1])
    assert not np.allclose(vectors[0], vectors[2])
    assert answer["usage"]["total_tokens"] == 32 + 32 + 3 * 32
    refused = client.post("/v1/embeddings", json={"input": URI, "pooling": "cls"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (422, "pooling")
