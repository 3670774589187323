"""Embed, from a reader's hands: write, compare, take the vectors along."""

import base64
import csv
import io
import json
import re
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, expect

from app.store.store import ModelStore
from tests.fakes.browser import Visit
from tests.fakes.cloze import Server
from tests.fakes.http import http
from tests.fakes.imports import import_folder
from tests.fakes.tiny_images import picture, tiny_image_folder
from tests.fakes.tiny_models import tiny_text_folder

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
    off = (vectors @ vectors.T)[~np.eye(4, dtype=bool)]
    scale = page.locator(".heat-scale span").all_text_contents()
    np.testing.assert_allclose(
        [float(each.strip().replace("−", "-")) for each in scale[:2]], [off.min(), off.max()], atol=0.006
    )
    shades = page.locator(".heat tbody td").evaluate_all(
        "cells => cells.map((cell) => getComputedStyle(cell).backgroundColor)"
    )
    assert len(set(shades)) > 3  # the colours use the whole range

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
    check_sparse_terms(visit, origin)


def check_sparse_terms(visit: Visit, origin: str) -> None:
    """The terms of each text as bars, which all have one scale."""
    page = visit.page
    page.get_by_text("Sparse terms", exact=True).click()
    body = {"model": "tiny", "input": TEXTS, "output": "sparse", "top_k": 16}
    vectors = [each["embedding"] for each in http.post(f"{origin}/v1/embeddings", json=body).json()["data"]]
    terms = page.get_by_role("region", name=TEXTS[0], exact=True).get_by_role("listitem")
    expect(terms).to_have_count(len(vectors[0]))
    most = max(term["value"] for vector in vectors for term in vector)
    widths = terms.locator("i").evaluate_all("bars => bars.map((bar) => parseFloat(bar.style.width))")
    np.testing.assert_allclose(widths, [100 * term["value"] / most for term in vectors[0]], atol=0.1)
    visit.check_accessibility()
    visit.check_width()


def test_pictures_are_compared_too(visit: Visit, cloze: Server, origin: str, tmp_path: Path) -> None:
    store = ModelStore(cloze.store)
    import_folder(store, tiny_image_folder(tmp_path / "vision"), "vision")
    files = [{"name": f"{seed}.jpg", "mimeType": "image/jpeg", "buffer": picture(seed)} for seed in range(3)]
    try:
        page = visit.go("#/embed?model=vision")
        expect(page.get_by_text("Sparse terms", exact=True)).to_have_count(0)
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
        check_projected_folder(visit, tmp_path)
    finally:
        store.delete(store.resolve("vision").id)


def check_projected_folder(visit: Visit, tmp_path: Path) -> None:
    """Projects the pictures of a folder by their neighbourhoods, and looks at one of them."""
    page = visit.page
    for seed in range(6):
        path = tmp_path / "set" / ("day", "night")[seed % 2] / f"{seed}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(seed))
    page.get_by_text("Project thousands").click()
    page.locator("input[webkitdirectory]").set_input_files(tmp_path / "set")
    expect(page.get_by_text("Chosen: 6 files")).to_be_visible()
    page.get_by_role("button", name="Show the points").click()
    expect(page.get_by_role("list", name="Colours").get_by_role("listitem")).to_have_count(2)
    page.get_by_text("Neighbourhoods (UMAP)").click()
    expect(page.get_by_text("UMAP keeps near what is near")).to_be_visible()
    plot = page.get_by_role("application", name="6 points on a plane")
    plot.focus()
    plot.press("ArrowRight")
    expect(plot.locator(".plot-tip img")).to_be_visible()
    plot.press("Enter")
    near = page.get_by_role("region", name="Nearest neighbours")
    expect(near.get_by_role("listitem")).to_have_count(5)
    expect(near.locator("img")).to_have_count(6)
    visit.check_accessibility()
    visit.check_width()


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
        store.delete(store.resolve("another").id)


def test_two_models_are_compared(visit: Visit, cloze: Server, tmp_path: Path) -> None:
    store = ModelStore(cloze.store)
    import_folder(store, tiny_text_folder(tmp_path / "second", "bert"), "second")
    try:
        page = visit.go("#/embed?model=tiny")
        write(page, TEXTS)
        near = page.get_by_role("region", name="Nearest neighbours", exact=True).locator("tbody tr")
        expect(near.first.locator("li")).to_have_count(3)
        page.get_by_label("Compare with").select_option("second")
        expect(page.get_by_role("heading", name="Similarity by second@1")).to_be_visible()
        expect(near.first.locator("li")).to_have_count(6)
        visit.check_accessibility()
        visit.check_width()
    finally:
        store.delete(store.resolve("second").id)


def test_a_document_is_cut_into_chunks(visit: Visit, origin: str) -> None:
    page = visit.go("#/embed?model=tiny&tab=document")
    document = " ".join(TEXTS) + " " + " ".join(TEXTS)
    page.get_by_label("Document", exact=True).fill(document)
    page.get_by_label("Question").fill("The lions hunt.")
    page.get_by_text("Late chunking", exact=True).click()
    options = {"output": "chunks", "chunk_size": 24, "late_chunking": True}
    answer = http.post(f"{origin}/v1/embeddings", json={"model": "tiny", "input": document, **options}).json()
    shown = page.locator(".chunks li .chunk-text")
    expect(shown).to_have_text([each["text"] for each in answer["data"]])
    expect(page.locator(".chunks li.looked")).to_have_count(1)
    expect(page.locator(".stale")).to_have_count(0)
    visit.check_accessibility()
    visit.check_width()


def test_many_texts_and_none(visit: Visit) -> None:
    page = visit.go("#/embed")
    write(page, [f"text number {nth}" for nth in range(30)])
    expect(page.locator(".heat.dense")).to_be_visible()
    visit.check_width()
    page.get_by_label("Texts, one a line").fill("")
    expect(page.get_by_role("heading", name="Nothing to compare yet")).to_be_visible()


def rows_of(kinds: dict[str, str], count: int) -> bytes:
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(["sentence", "kind"])
    table.writerows([text.format(nth), kind] for nth in range(count) for kind, text in kinds.items())
    return out.getvalue().encode()


def test_a_table_becomes_points_with_colours_and_neighbours(visit: Visit, origin: str) -> None:
    page = visit.go("#/embed?model=tiny")
    page.get_by_text("Project thousands").click()
    expect(page).to_have_url(re.compile("tab=many"))
    file = rows_of({"water": "Water boils, at {} degrees.", "hunt": "The lions hunt prey number {}."}, 40)
    page.get_by_label("Drop a CSV, TSV or text file").set_input_files(
        {"name": "table.csv", "mimeType": "text/csv", "buffer": file}
    )
    expect(page.get_by_text("table.csv: 80 rows")).to_be_visible()
    expect(page.get_by_label("Column of the texts")).to_have_value("0")
    expect(page.get_by_label("Colour by")).to_have_value("1")
    page.get_by_role("button", name="Show the points").click()
    expect(page.get_by_role("heading", name="80 points")).to_be_visible()
    expect(page.get_by_role("list", name="Colours").get_by_role("listitem")).to_have_count(2)

    plot = page.get_by_role("application", name="80 points on a plane")
    plot.focus()
    plot.press("ArrowRight")
    expect(plot.get_by_role("status")).to_have_text("water: Water boils, at 0 degrees.")
    plot.press("+")
    plot.press("Enter")
    found = page.get_by_role("region", name="Nearest neighbours")
    expect(found.get_by_role("listitem")).to_have_count(10)
    texts = [row[0] for row in list(csv.reader(io.StringIO(file.decode())))[1:]]
    answer = http.post(f"{origin}/v1/embeddings", json={"model": "tiny", "input": texts}).json()
    vectors = np.array([each["embedding"] for each in answer["data"]])
    cosines = np.sort(vectors @ vectors[0])[::-1][1:11]
    shown = [float(each.replace("−", "-")) for each in found.locator(".candidate-share").all_text_contents()]
    np.testing.assert_allclose(shown, cosines, atol=0.002)

    page.get_by_label("Search the points").fill("number 7.")
    expect(page.get_by_text("1 found")).to_be_visible()
    page.get_by_text("All points as a list").click()
    rows = page.get_by_role("region", name="Points as a list").locator("tbody tr")
    expect(rows).to_have_count(1)
    rows.get_by_role("button", name="Neighbours").click()
    expect(found).to_contain_text("hunt: The lions hunt prey number 7.")
    visit.check_accessibility()
    visit.check_width()


def test_a_click_into_the_plot_chooses_a_point_and_a_drag_moves_all(visit: Visit) -> None:
    page = visit.go("#/embed?model=tiny&tab=many")
    page.get_by_label("Or paste texts, one a line").fill("The lions hunt.")
    page.get_by_role("button", name="Show the points").click()
    plot = page.get_by_role("application", name="1 points on a plane")
    box = plot.bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2  # where a single point is
    page.mouse.move(*middle)
    expect(plot.get_by_role("status")).to_have_text("The lions hunt.")
    page.mouse.down()
    page.mouse.move(middle[0] + 100, middle[1] + 50)
    page.mouse.up()
    page.mouse.move(*middle)
    expect(plot.get_by_role("status")).to_have_text("")
    page.mouse.click(middle[0] + 100, middle[1] + 50)
    expect(page.get_by_role("region", name="Nearest neighbours")).to_contain_text("The lions hunt.")
