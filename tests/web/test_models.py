"""Models, from an operator's hands: read, load, unload, name, delete."""

import itertools
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app.store.store import ModelStore
from tests.fakes.browser import HeldRequests, Visit
from tests.fakes.cloze import Server
from tests.fakes.http import http
from tests.fakes.imports import import_folder
from tests.fakes.tiny_models import tiny_bert_folder

CARD = """---
license: mit
---
# Spare

A **small** model with `code`, a [link](https://example.com) and [a trap](javascript:alert(1)).

| Metric | Value |
| --- | --- |
| loss | 3.2 |

```sh
curl http://127.0.0.1:8000/v1/fill-mask
```

<script>document.title = "owned"</script>
<img src="https://example.com/pixel.png" onerror="document.title = 'owned'">

![a picture](https://example.com/picture.png)
"""


NAMES = (f"zoo/spare{nth}" for nth in itertools.count())  # a name's versions are counted on after a deletion


@pytest.fixture
def spare(cloze: Server, tmp_path: Path) -> Iterator[str]:
    """A model of two versions that a test may do anything with; behind `tiny`, which stays the default.

    Asked for before `visit`, it is deleted once the page is closed, which would miss it.
    """
    store, name = ModelStore(cloze.store), next(NAMES)
    folder = tiny_bert_folder(tmp_path / "spare", seed=1)
    (folder / "README.md").write_text(CARD)
    for _ in range(2):
        import_folder(store, folder, name)
    yield name
    for entry in store.list():
        if entry.name == name:
            store.delete(entry.id)


def open_model(visit: Visit, name: str) -> Page:
    page = visit.go("#/models")
    page.get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    return page


def test_a_card_is_shown_and_runs_nothing(spare: str, visit: Visit) -> None:
    page = open_model(visit, spare)
    card = page.locator(".markdown")
    expect(card.get_by_role("heading", name="Spare")).to_be_visible()
    expect(card.get_by_role("cell", name="3.2")).to_be_visible()
    expect(card.get_by_role("link")).to_have_count(1)  # the trap is text
    expect(card.get_by_text('<script>document.title = "owned"</script>')).to_be_visible()
    expect(card.locator("img")).to_have_count(0)
    expect(card.locator("pre")).to_have_text(f"curl {visit.origin}/v1/fill-mask")  # where the reader has reached it
    expect(page).to_have_title("Models · Cloze")
    visit.check_accessibility()
    visit.check_width()


def test_a_model_is_loaded_and_unloaded(spare: str, visit: Visit, origin: str) -> None:
    page = open_model(visit, spare)
    page.get_by_role("button", name="Load", exact=True).click()
    expect(page.get_by_text(f"{spare}@2 is in memory")).to_be_visible()
    [loaded] = [each for each in http.get(f"{origin}/v1/models").json()["data"] if each["id"] == spare]
    assert loaded["loaded"] and loaded["memory_bytes"] > 0
    expect(page.locator(".model-sheet")).to_contain_text(f"{loaded['memory_bytes'] / 1000:.3g} kB")
    page.get_by_role("button", name="Unload").click()
    expect(page.get_by_text(f"{spare}@2 has left memory")).to_be_visible()
    expect(page.get_by_role("button", name="Load", exact=True)).to_be_visible()
    page.get_by_role("link", name="Try it").click()
    expect(page.get_by_label("Model", exact=True)).to_have_value(spare)
    expect(page.locator(".figure .predicted").first).to_be_visible()


def test_a_model_is_downloaded(spare: str, visit: Visit) -> None:
    page = open_model(visit, spare)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == f"{spare.replace('/', '-')}-2.tar"
    with tarfile.open(download.value.path()) as archive:
        assert "model.safetensors" in [Path(name).name for name in archive.getnames()]


def test_versions_get_and_lose_aliases(spare: str, visit: Visit, origin: str) -> None:
    page = open_model(visit, spare)
    page.get_by_role("tab", name="Versions").click()
    page.get_by_label("New or moved alias").fill("production")
    page.get_by_label("Version", exact=True).select_option("1")
    page.get_by_role("button", name="Set alias").click()
    expect(page.get_by_text(f"{spare}:production is version 1")).to_be_visible()
    assert http.get(f"{origin}/v1/models/{spare}:production").json()["version"] == 1
    page.get_by_role("button", name="Remove the alias production").click()
    expect(page.get_by_text("The alias production is gone")).to_be_visible()
    expect(page.locator(".alias")).to_have_count(0)
    visit.check_accessibility()


def test_another_version_is_picked_and_tried(spare: str, visit: Visit, origin: str) -> None:
    http.put(f"{origin}/v1/models/{spare}/aliases/production", json={"version": 1}).raise_for_status()
    page = open_model(visit, spare)
    picker = page.get_by_label("Shown version")
    expect(picker).to_have_value("2")
    expect(picker.get_by_role("option")).to_have_text(["version 2", "version 1, production"])
    picker.select_option("1")
    expect(page.locator(".model-sheet div", has_text="Version")).to_contain_text("1")
    expect(picker).to_have_value("1")
    page.get_by_role("link", name="Try it").click()
    expect(page.get_by_label("Model", exact=True)).to_have_value(f"{spare}@1")


def test_a_version_is_deleted_once_that_is_confirmed(spare: str, visit: Visit, origin: str) -> None:
    page = open_model(visit, spare)
    page.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog", name=f"Delete {spare}@2?")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.get_by_role("button", name="Delete").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(page.get_by_text(f"{spare}@2 is deleted")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("Models")
    assert http.get(f"{origin}/v1/models/{spare}").json()["versions"] == [1]


def test_lineage_leads_from_parents_to_children(spare: str, visit: Visit, cloze: Server, tmp_path: Path) -> None:
    store = ModelStore(cloze.store)
    parent = store.resolve("tiny@1").manifest
    child = parent.model_copy(update={"parents": (f"{spare}@1", "gone@7"), "job_id": "ftjob-0"})
    folder = tiny_bert_folder(tmp_path / "young")
    store.publish(folder, child, name="young")
    visit.expected.append("404")  # the job that made it is not on this server
    try:
        models = HeldRequests(visit.page, "**/v1/models")
        page = visit.go("#/models/young?tab=lineage")
        expect(page.get_by_role("heading", level=1)).to_have_text("young")
        expect(page.get_by_role("tab", name="Lineage")).to_be_visible()
        models.release()  # the list comes last: nothing is called deleted meanwhile
        expect(page.get_by_text("ftjob-0")).to_contain_text("not on this server")
        expect(page.get_by_role("link", name="ftjob-0")).to_have_count(0)
        expect(page.get_by_text("gone@7")).to_contain_text("not in the store")
        page.get_by_role("link", name=f"{spare}@1").click()
        page.get_by_role("tab", name="Lineage").click()
        expect(page.get_by_role("link", name="young@1")).to_be_visible()
    finally:
        store.delete("young@1")


def test_an_archive_is_imported(visit: Visit, cloze: Server, tmp_path: Path) -> None:
    folder = tiny_bert_folder(tmp_path / "packed", seed=2)
    archive = tmp_path / "dropped.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(folder, "dropped")
    visit.expected += ["status of 403", "status of 404"]  # a refused hub id, and a model without a card
    page = visit.go("#/models")
    page.get_by_text("Import a model").click()
    page.get_by_label("Hub id").fill("org/name")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("CLOZE_ALLOW_HUB=1")
    page.get_by_label("Hub id").fill("")
    page.locator("input[type=file]").set_input_files(archive)
    imports = page.get_by_role("list", name="Latest imports")
    expect(imports.get_by_role("link", name="dropped@1")).to_be_visible()
    visit.check_accessibility()
    visit.check_width()
    imports.get_by_role("link", name="dropped@1").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("dropped")
    expect(page.get_by_text("Imported from dropped.tar.gz")).to_be_visible()
    ModelStore(cloze.store).delete("dropped")
