"""Embed, from a reader's hands: write, compare, take the vectors along."""

import base64
import csv
import io
import json
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, expect

from app.store.store import ModelStore
from tests.fakes.browser import Visit
from tests.fakes.cloze import Server
from tests.fakes.http import http
from tests.fakes.imports import import_folder
from tests.fakes.tiny_images import picture, tiny_image_folder

TEXTS = [
    "The lions hunt.",
    'Big cats "chase" their prey, at night.',
    "Water boils at 100 degrees.",
    "The world is wide.",
]


def write(page: Page, texts: list[str]) -> None:
    page.get_by_label("Texts, one a line").fill("\n".join(texts))
    expect(page.locator(".heat tbody tr")).to_have_count(len(texts))
    expect(page.locator(".heat tbody tr").last).to_contain_text(texts[-1])


def save(page: Page, format: str) -> bytes:
    with page.expect_download() as download:
        page.get_by_role("button", name=format).click()
    assert download.value.suggested_filename == f"embeddings.{format.lower()}"
    return Path(download.value.path()).read_bytes()


def test_texts_are_compared_and_their_vectors_saved(visit: Visit, origin: str) -> None:
    page = visit.go("#/embed")
    write(page, TEXTS)
    answer = http.post(f"{origin}/v1/embeddings", json={"model": "tiny", "input": TEXTS}).json()
    vectors = np.array([each["embedding"] for each in answer["data"]])
    shown = [text.replace("−", "-") for text in page.locator(".heat tbody td").all_text_contents()]
    np.testing.assert_allclose(np.array(shown, float).reshape(4, 4), vectors @ vectors.T, atol=0.006)
    expect(page.locator(".projection circle")).to_have_count(4)

    saved = json.loads(save(page, "JSON"))
    assert saved["model"] == "tiny@1" and [each["input"] for each in saved["data"]] == TEXTS
    np.testing.assert_allclose([each["embedding"] for each in saved["data"]], vectors, atol=1e-6)
    array = np.load(io.BytesIO(save(page, "NPY")))
    assert array.dtype == np.float32
    np.testing.assert_allclose(array, vectors, atol=1e-6)
    head, *rows = csv.reader(io.StringIO(save(page, "CSV").decode()))
    assert len(head) == 1 + vectors.shape[1] and [row[0] for row in rows] == TEXTS
    np.testing.assert_allclose(np.array([row[1:] for row in rows], float), vectors, atol=1e-6)

    visit.check_accessibility()
    visit.check_width()


def test_pictures_are_compared_too(visit: Visit, cloze: Server, origin: str, tmp_path: Path) -> None:
    store = ModelStore(cloze.store)
    import_folder(store, tiny_image_folder(tmp_path / "vision"), "vision")
    files = [{"name": f"{seed}.jpg", "mimeType": "image/jpeg", "buffer": picture(seed)} for seed in range(3)]
    try:
        page = visit.go("#/embed?model=vision")
        page.get_by_label("Drop images, or choose some").set_input_files(files)
        uris = [f"data:image/jpeg;base64,{base64.b64encode(file['buffer']).decode()}" for file in files]
        answer = http.post(f"{origin}/v1/embeddings", json={"model": "vision", "input": uris}).json()
        vectors = np.array([each["embedding"] for each in answer["data"]])
        expect(page.locator(".heat tbody td")).to_have_count(9)
        shown = [text.replace("−", "-") for text in page.locator(".heat tbody td").all_text_contents()]
        np.testing.assert_allclose(np.array(shown, float).reshape(3, 3), vectors @ vectors.T, atol=0.006)
        page.get_by_role("button", name="Remove 1.jpg").click()
        expect(page.locator(".heat tbody td")).to_have_count(4)
        visit.check_accessibility()
        visit.check_width()
    finally:
        store.delete("vision@1")


def test_texts_are_compared_again_after_a_look_at_another_model(visit: Visit, cloze: Server, tmp_path: Path) -> None:
    store = ModelStore(cloze.store)
    import_folder(store, tiny_image_folder(tmp_path / "another"), "another")
    try:
        page = visit.go("#/embed?model=tiny")
        write(page, TEXTS)
        page.get_by_label("Model").select_option("another")
        expect(page.get_by_role("heading", name="Nothing to compare yet")).to_be_visible()
        page.get_by_label("Model").select_option("tiny")
        expect(page.locator(".heat tbody tr")).to_have_count(len(TEXTS))
    finally:
        store.delete("another@1")


def test_many_texts_and_none(visit: Visit) -> None:
    page = visit.go("#/embed")
    write(page, [f"text number {nth}" for nth in range(30)])
    expect(page.locator(".heat.dense")).to_be_visible()
    visit.check_width()
    page.get_by_label("Texts, one a line").fill("")
    expect(page.get_by_role("heading", name="Nothing to compare yet")).to_be_visible()
