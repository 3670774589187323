"""The options and the spans of Fill: what is sent, where errors are shown, and what a link keeps."""

import re

from playwright.sync_api import expect

from tests.fakes.browser import Visit
from tests.fakes.http import http


def test_options_and_spans(visit: Visit, origin: str) -> None:
    visit.expected = ["422"]
    page = visit.go("#/fill?text=The+[MASK]+chase+the+zebras.&sample=3")
    mask = page.get_by_role("region", name="Mask 1")
    expect(mask.get_by_role("list", name="Drawn").get_by_role("listitem")).to_have_count(3)
    expect(page.get_by_label("Pattern")).to_be_hidden()
    page.get_by_text("Options", exact=False).first.click()
    page.get_by_label("Pattern").fill("(")
    fault = page.get_by_role("group", name="Candidates").get_by_role("alert")
    expect(fault).to_contain_text("`pattern` is not a regular expression")
    expect(page.get_by_role("alert")).to_have_count(1)
    page.get_by_label("Pattern").fill("^lion")
    expect(mask.locator(".candidate-word").first).to_have_text(re.compile("^lion"))
    expect(fault).to_have_count(0)
    expect(page).to_have_url(re.compile("pattern=%5Elion.*sample=3|sample=3.*pattern=%5Elion"))
    visit.check_accessibility()
    visit.check_width()

    page.get_by_role("button", name="Reset the options").click()
    with page.expect_response(lambda it: "[MASK:1-2]" in (it.request.post_data or "")) as answered:
        mask.get_by_label("Length").select_option("1-2")
    body = {"model": "tiny", "input": "The [MASK:1-2] chase the zebras.", "top_k": 6, "num_sequences": 5}
    assert answered.value.request.post_data_json == body
    expect(page.get_by_label("Text", exact=True)).to_have_value(body["input"])
    best = http.post(f"{origin}/v1/fill-mask", json=body).json()["data"][0]["sequences"][0]["sequence"]
    filled = page.get_by_label("With the model’s words")
    expect(filled).not_to_have_class(re.compile("stale"))
    assert re.sub(r"[\s…]", "", filled.inner_text()) == re.sub(r"\s", "", best)


def test_a_share_of_a_text_is_masked(visit: Visit, origin: str) -> None:
    text = "The lions chase the zebras in the savanna."
    page = visit.go(f"#/fill?text={text}&tab=share&share=0.5,0,tokens")
    rows = page.get_by_role("region", name="Truth, prediction and rank").locator("tbody tr")
    expect(rows).not_to_have_count(0)
    with page.expect_response("**/v1/fill-mask") as answered:
        page.get_by_role("button", name="Another mask").click()
    sent = answered.value.request.post_data_json
    assert sent["input"] == text and sent["mask"] == {"ratio": 0.5, "seed": 1, "whole_words": False}
    groups = http.post(f"{origin}/v1/fill-mask", json=sent).json()["data"][0]["masked"]
    expect(page.locator(".masked-share")).to_have_attribute("aria-busy", "false")
    expect(rows.locator("th")).to_have_text([group["text"] for group in groups])
    ranks = [", ".join(str(token["rank"]) for token in group["tokens"]) for group in groups]
    expect(rows.locator("td:nth-child(3)")).to_have_text(ranks)
    expect(page).to_have_url(re.compile("share=0.5%2C1%2Ctokens"))
    visit.check_accessibility()
    visit.check_width()
