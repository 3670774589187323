"""Fill with a model whose tokens are single letters: a click masks one of them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from playwright.sync_api import Page, expect
from transformers import AutoModelForMaskedLM, BertConfig

from app.methods.tokenizers import TokenizerOptions
from app.modalities.text.new_tokenizers.kinds import train_tokenizer
from app.store.store import ModelStore
from tests.fakes.browser import Visit
from tests.fakes.cloze import Server
from tests.fakes.http import http
from tests.fakes.imports import import_folder

PROTEIN = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEKAVQV"
NAME = "letters/protein"


@pytest.fixture(scope="module")
def protein(cloze: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A model of residues, with an emoji in its vocabulary, which is two units of UTF-16."""
    folder = tmp_path_factory.mktemp("protein")
    tokenizer = train_tokenizer([PROTEIN + "ACDEFGHIKLMNPQRSTVWY😀"], TokenizerOptions(tokenizer="characters"), 80)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = BertConfig(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **sizes)
        AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    store = ModelStore(cloze.store)
    yield import_folder(store, folder, NAME).id
    store.delete(NAME)


def mask(page: Page, name: str) -> Any:
    """Clicks on a token and returns the body of the request that follows."""
    expect(page.locator(".filled")).to_have_attribute("aria-busy", "false")
    with page.expect_request("**/v1/fill-mask") as request:
        page.get_by_role("button", name=f"{name}; mask it", exact=True).click()
    return request.value.post_data_json


def test_a_click_hides_one_letter(protein: str, visit: Visit, origin: str) -> None:
    page = visit.go(f"#/fill?model={NAME}&text={PROTEIN}")
    expect(page.locator(".figure button.word")).to_have_count(len(PROTEIN))
    sent = mask(page, "A at 4")
    assert sent["input"] == "MKT[MASK]YIAK" + PROTEIN[8:]
    expect(page.locator(".figure .predicted")).to_have_count(1)
    [answer] = http.post(f"{origin}/v1/fill-mask", json=sent).json()["data"]
    expect(page.locator(".figure .predicted")).to_have_text(answer["masks"][0]["candidates"][0]["token_str"])
    second = mask(page, "Y at 5")
    assert second["input"] == "MKT[MASK][MASK]IAK" + PROTEIN[8:]
    visit.check_accessibility()
    visit.check_width()


def test_masked_letters_move_with_the_text_and_are_in_the_address(protein: str, visit: Visit) -> None:
    page = visit.go(f"#/fill?model={NAME}&text=MK😀TAY&hide=3")
    expect(page.get_by_role("button", name="T at 4, masked; show it")).to_be_visible()
    expect(page.locator(".figure button.masked")).to_have_count(1)
    sent = mask(page, "A at 5")
    assert sent["input"] == "MK😀[MASK][MASK]Y"
    page.get_by_label("Text", exact=True).fill("MKRR😀TAY")
    expect(page.get_by_role("button", name="T at 6, masked; show it")).to_be_visible()
    expect(page.get_by_role("button", name="A at 7, masked; show it")).to_be_visible()
    expect(page.locator(".figure button.masked")).to_have_count(2)


def test_letters_are_coloured_one_by_one(protein: str, visit: Visit, origin: str) -> None:
    page = visit.go(f"#/fill?model={NAME}&text=MK😀TAY&tab=whole")
    scored = page.locator(".scored button.word")
    expect(scored).to_have_text(["M", "K", "😀", "T", "A", "Y"])
    [answer] = http.post(f"{origin}/v1/score", json={"model": NAME, "input": "MK😀TAY"}).json()["data"]
    assert len(answer["tokens"]) == 6
    scored.nth(3).click()
    chosen = page.locator(".panel", has=page.get_by_role("heading", name="T", exact=True))
    expect(chosen.get_by_role("listitem")).to_have_count(5)
    chosen.get_by_role("button", name="Mask this token").click()
    expect(page.get_by_role("button", name="T at 4, masked; show it")).to_be_visible()


def test_a_model_of_words_hides_words_of_the_same_text(protein: str, visit: Visit, origin: str) -> None:
    page = visit.go(f"#/fill?model={NAME}&text=MK+TAY&hide=3")
    expect(page.get_by_role("button", name="T at 4, masked; show it")).to_be_visible()
    words = next(each["id"] for each in http.get(f"{origin}/v1/models").json()["data"] if each["name"] == "tiny")
    page.get_by_label("Model", exact=True).select_option(words)
    expect(page.get_by_role("button", name="TAY, masked; show it")).to_be_visible()
    expect(page.locator(".figure button.word")).to_have_count(2)


def test_the_request_of_a_protein_is_shown_with_its_mask(protein: str, visit: Visit) -> None:
    page = visit.go(f"#/fill?model={NAME}&text=MKTAY&hide=2")
    page.get_by_text("This request as code").click()
    code = page.locator("pre").first
    expect(code).to_contain_text(json.dumps("MK[MASK]AY")[1:-1])


def test_mutations_are_a_map_that_is_read_by_pointer_and_by_key(protein: str, visit: Visit, origin: str) -> None:
    page = visit.go(f"#/fill?model={NAME}&text={PROTEIN}")
    with page.expect_request("**/v1/score") as request:
        page.get_by_role("tab", name="Mutations").click()
    body = request.value.post_data_json
    assert (body["variants"], body["letters"]) == ("all", "ACDEFGHIKLMNPQRSTVWY")
    [answer] = http.post(f"{origin}/v1/score", json=body).json()["data"]
    scores = {each["variant"]: each["score"] for each in answer["variants"]}
    grid = page.get_by_role("application")
    grid.locator("canvas").hover(position={"x": 20, "y": 40})  # the second letter, the first row
    figures = page.locator(".mutation")
    shown = f"{scores['K2A']:.2f}".rstrip("0").rstrip(".").replace("-", "\N{MINUS SIGN}")
    expect(figures).to_contain_text(f"K2A {shown}")
    page.mouse.move(0, 0)
    grid.focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    expect(figures).to_contain_text("K2C")
    visit.check_accessibility()
    visit.check_width()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    lines = download.value.path().read_text().splitlines()
    assert len(lines) == 1 + len(scores) and lines[1].startswith("M1A,1,M,A,")
    page.get_by_role("button", name="Put it into the sequence").click()
    expect(page.get_by_label("Text", exact=True)).to_have_value("MC" + PROTEIN[2:])
