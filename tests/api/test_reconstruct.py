"""Pictures over HTTP, with a real tiny model."""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from app.main import create_app
from app.settings import Settings
from app.store.store import ModelStore
from tests.fakes.imports import import_folder
from tests.fakes.tiny_images import picture, tiny_image_folder
from tests.fakes.tiny_models import tiny_bert_folder

PHOTO = picture(width=64, height=48)
URI = "data:image/jpeg;base64," + base64.b64encode(PHOTO).decode()
PANELS = {"original", "masked", "predicted", "panels"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("served")
    store = ModelStore(folder / "store")
    for name, source in {
        "mae": tiny_image_folder(folder / "mae"),
        "grey": tiny_image_folder(folder / "grey", "vit", channels=1),
        "bare": tiny_image_folder(folder / "bare", head=False),
        "text": tiny_bert_folder(folder / "text"),
    }.items():
        import_folder(store, source, name)
    settings = Settings(var_dir=folder / "var", default_model="mae", device="cpu", dtype="float32", threads=1)
    with TestClient(create_app(settings, store=store)) as client:
        yield client


def reconstruct(client: TestClient, **body: Any) -> Any:
    response = client.post("/v1/reconstruct", json={"input": URI, **body})
    assert response.status_code == 200, response.text
    return response.json()


def pixels(part: dict[str, str]) -> np.ndarray:
    assert part["media_type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(part["data"]))))


def test_the_answer_says_what_was_masked_and_how_well_it_was_guessed(client: TestClient) -> None:
    answer = reconstruct(client)
    assert (answer["object"], answer["model"], answer["modality"]) == ("reconstruction", "mae@1", "image")
    assert np.array(answer["mask"]).shape == (4, 4) and np.sum(answer["mask"]) == 12
    assert answer["baselines"].keys() == {"mean", "interpolation"}
    assert answer["loss"] > 0 and answer["baselines"]["interpolation"] > 5
    assert answer["usage"]["total_tokens"] == 16
    assert answer["media"].keys() == PANELS
    original, masked, predicted = (pixels(answer["media"][name]) for name in ("original", "masked", "predicted"))
    mask = np.kron(answer["mask"], np.ones((8, 8))).astype(bool)
    assert np.array_equal(original[~mask], predicted[~mask])
    assert (masked[mask] == 128).all() and np.array_equal(masked[~mask], original[~mask])
    error = np.square((original[mask].astype(float) - predicted[mask]) / 255).mean()
    assert answer["psnr"] == pytest.approx(-10 * np.log10(error), abs=0.1)


def test_a_form_is_answered_as_json_is(client: TestClient) -> None:
    fields = {"model": "mae", "mask_ratio": "0.5", "mask_strategy": "block", "seed": "7"}
    form = client.post("/v1/reconstruct", data=fields, files={"file": ("a.jpg", PHOTO)})
    assert form.json() == reconstruct(client, model="mae", mask_ratio=0.5, mask_strategy="block", seed=7)
    boxed = client.post("/v1/reconstruct", data={"boxes": "[[8, 0, 20, 12]]"}, files={"file": ("a.jpg", PHOTO)})
    assert boxed.json() == reconstruct(client, boxes=[[8, 0, 20, 12]])


def test_the_same_seed_gives_the_same_answer(client: TestClient) -> None:
    assert reconstruct(client, seed=1) == reconstruct(client, seed=1)
    assert reconstruct(client, seed=1)["mask"] != reconstruct(client, seed=2)["mask"]


def test_boxes_and_grids_hide_what_they_say(client: TestClient) -> None:
    # 64 × 48 pixels: the square in the middle begins at column 8, a patch is 12 pixels.
    assert np.argwhere(reconstruct(client, boxes=[[8, 0, 20, 12]])["mask"]).tolist() == [[0, 0]]
    grid = np.eye(4, dtype=int).tolist()
    assert reconstruct(client, mask=grid)["mask"] == grid


def test_accept_decides_the_form(client: TestClient) -> None:
    response = client.post("/v1/reconstruct", json={"input": URI}, headers={"accept": "image/png"})
    assert response.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(response.content)) as image:
        assert image.size == (3 * 128 + 2 * 4, 128)
    refused = client.post("/v1/reconstruct", json={"input": URI}, headers={"accept": "audio/wav"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (406, "not_acceptable")


def test_grey_models_see_grey(client: TestClient) -> None:
    answer = reconstruct(client, model="grey")
    original = pixels(answer["media"]["original"])
    assert (original[..., 0] == original[..., 1]).all()


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"model": "text"}, 422, "model"),
        ({"model": "bare"}, 422, "model"),
        ({"model": "nothing"}, 404, "model"),
        ({"input": "bm8gaW1hZ2U="}, 422, None),
        ({"input": "not base64"}, 422, "input"),
        ({"input": 3}, 422, "input"),
        ({"input": {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}}, 422, "input"),
        ({"mask_ratio": 1.5}, 422, "mask_ratio"),
        ({"mask_strategy": "tube"}, 422, "mask_strategy"),
        ({"mask": [[1]]}, 422, "mask"),
        ({"boxes": [[0, 0, 99, 9]]}, 422, "boxes"),
        ({"boxes": [[0, 0, 3, 48]]}, 422, "boxes"),  # beside the square that the model sees
        ({"ranges": [[0, 1]]}, 422, "ranges"),
        ({"boxes": [[0, 0, 9, 9]], "seed": 1}, 422, None),
        ({"patch": 1}, 422, "patch"),
    ],
)
def test_what_cannot_be_done_says_why(client: TestClient, body: dict[str, Any], status: int, param: str | None) -> None:
    response = client.post("/v1/reconstruct", json={"input": URI, **body})
    assert response.status_code == status, response.text
    assert response.json()["error"]["param"] == param


def test_broken_requests_are_told_from_broken_pictures(client: TestClient) -> None:
    assert client.post("/v1/reconstruct", content=b"{", headers={"content-type": "application/json"}).status_code == 400
    assert client.post("/v1/reconstruct", content=b"x", headers={"content-type": "image/png"}).status_code == 400
    empty = client.post("/v1/reconstruct", files={"file": ("a.png", b"")})
    assert (empty.status_code, empty.json()["error"]["code"]) == (400, "empty_input")
    cut = client.post("/v1/reconstruct", files={"file": ("a.jpg", PHOTO[: len(PHOTO) // 2])})
    assert (cut.status_code, cut.json()["error"]["code"]) == (422, "invalid_data")


def embed(client: TestClient, **body: Any) -> Any:
    return client.post("/v1/embeddings", json=body)


def test_pictures_are_embedded_in_the_shape_of_text(client: TestClient) -> None:
    typed = {"type": "image_url", "image_url": {"url": URI}}
    answer = embed(client, model="mae", input=[URI, typed]).json()
    vectors = np.array([each["embedding"] for each in answer["data"]])
    assert vectors.shape == (2, 32) and np.allclose(vectors[0], vectors[1])
    assert np.linalg.norm(vectors[0]) == pytest.approx(1)
    assert answer["usage"]["total_tokens"] == 34
    [cls] = embed(client, model="bare", input=typed, pooling="cls").json()["data"]
    assert not np.allclose(cls["embedding"], vectors[0])


@pytest.mark.parametrize(("model", "given"), [("mae", "a lion"), ("mae", [1, 2]), ("text", URI)])
def test_inputs_of_another_modality_are_refused(client: TestClient, model: str, given: Any) -> None:
    response = embed(client, model=model, input=given)
    assert (response.status_code, response.json()["error"]["param"]) == (422, "input")


def test_a_string_that_is_no_media_stays_text(client: TestClient) -> None:
    assert embed(client, model="text", input=["https://example.org/a.png", "data: lions"]).status_code == 200


def test_the_reference_knows_both_bodies_and_forms(client: TestClient) -> None:
    route = json.loads(client.get("/openapi.json").text)["paths"]["/v1/reconstruct"]["post"]
    assert route["requestBody"]["content"].keys() == {"multipart/form-data", "application/json"}
    assert {"application/json", "image/png"} <= route["responses"]["200"]["content"].keys()


def test_models_say_what_they_can_do(client: TestClient, tmp_path: Path) -> None:
    models = {m["id"]: m for m in client.get("/v1/models").json()["data"]}
    assert models["mae"]["modality"] == "image"
    assert set(models["mae"]["tasks"]) == {"embeddings", "reconstruct"}
    assert models["bare"]["tasks"] == ["embeddings"]
