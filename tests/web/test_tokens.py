"""Tokens: a stored model's, and those of a tokenizer that a job would train."""

import re

from playwright.sync_api import expect

from tests.fakes.browser import Visit
from tests.fakes.http import http


def test_the_tokens_of_a_stored_model_are_shown(visit: Visit, origin: str) -> None:
    page = visit.go("#/tokens?text=The+lions++☃")
    pieces = page.locator(".piece")
    [answer] = http.post(f"{origin}/v1/tokenize", json={"model": "tiny", "input": "The lions  ☃"}).json()["data"]
    expect(pieces).to_have_count(len(answer["tokens"]))
    ids = [pieces.nth(at).get_attribute("title") for at in range(len(answer["tokens"]))]
    assert ids == [f"id {token['id']}" for token in answer["tokens"]]
    figures = page.get_by_role("region", name="Figures")
    expect(figures).to_contain_text(re.compile("What decoding changes: .*☃"))
    expect(figures).to_contain_text("A mask replaces a word.")
    visit.check_accessibility()
    visit.check_width()


def test_a_new_tokenizer_is_tried(visit: Visit, origin: str) -> None:
    page = visit.go("#/tokens?from=new&text=c1Br☃")
    page.get_by_label("Sample to train on").fill("c1ccccc1\nCC(=O)OC\nBrCC(=O)Cl\n" * 9)
    figures = page.get_by_role("region", name="Figures")
    expect(figures).to_contain_text("regex")
    expect(page.locator(".piece:not(.special)")).to_have_text(["c", "1", "Br", "☃"])
    expect(figures).to_contain_text("lost: ☃")
    expect(figures.get_by_text("20%")).to_be_visible()  # one of five characters is unknown
    page.get_by_label("Tokenizer", exact=True).select_option("kmer")
    page.get_by_label("Kmer length").fill("1")
    expect(page.get_by_text("At least 2")).to_be_visible()
    page.get_by_label("Kmer length").fill("2")
    page.get_by_label("Kmer stride").fill("2")
    page.get_by_label("Text", exact=True).fill("BRCC")
    expect(page.locator(".piece:not(.special)")).to_have_text(["BR", "CC"])
    expect(figures).to_contain_text("A mask replaces a token.")
    visit.check_accessibility()
    visit.check_width()
