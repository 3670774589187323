"""Fill, from a reader's hands: mask, choose, see all masks together, share, copy."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, Route, expect

from app.store.store import ModelStore
from tests.fakes.browser import Visit, visiting
from tests.fakes.cloze import Server
from tests.fakes.http import http
from tests.fakes.imports import import_folder
from tests.fakes.tiny_models import tiny_bert_folder

FOUNDING = "The [MASK] chase the [MASK] in the savanna."


def masks(page: Page) -> Any:
    return page.locator(".figure button.masked")


def predicted(page: Page) -> list[str]:
    """The green words, once there is no older answer on the page."""
    expect(page.locator(".filled")).to_have_attribute("aria-busy", "false")
    return [word.strip() for word in page.locator(".figure .predicted").all_text_contents()]


def test_the_first_visit_shows_the_figure_alive(visit: Visit, origin: str) -> None:
    page = visit.go()
    expect(masks(page)).to_have_count(2)
    expect(page.locator(".figure .predicted")).to_have_count(2)
    body = {"model": "tiny", "input": FOUNDING, "top_k": 6, "num_sequences": 5}
    [answer] = http.post(f"{origin}/v1/fill-mask", json=body).json()["data"]
    best = answer["sequences"][0]
    assert page.locator(".figure .predicted").count() == len(best["tokens"])
    for nth, mask in enumerate(answer["masks"]):
        shares = page.get_by_role("region", name=f"Mask {nth + 1}").locator(".candidate-share").all_text_contents()
        assert [float(share.rstrip("%")) for share in shares] == pytest.approx(
            [candidate["score"] * 100 for candidate in mask["candidates"]], abs=0.5
        )
    bars = page.get_by_role("region", name="Mask 1").locator(".bar i")
    widths = bars.evaluate_all("bars => bars.map((bar) => parseFloat(bar.style.width))")
    shares = [candidate["score"] * 100 for candidate in answer["masks"][0]["candidates"]]
    assert widths == pytest.approx([max(share, 0.5) for share in shares], abs=0.01)  # from 0 to 100 %
    expect(page.get_by_role("region", name="All masks together").get_by_role("listitem")).to_have_count(5)
    visit.check_accessibility()
    visit.check_width()


def test_words_are_masked_and_shown_by_a_click_or_a_key(visit: Visit) -> None:
    page = visit.go()
    page.get_by_label("Text", exact=True).fill("The lions chase the zebras.")
    expect(page.get_by_text("Nothing is masked.")).to_be_visible()
    page.get_by_role("button", name="lions; mask it").click()
    expect(masks(page)).to_have_count(1)
    assert len(predicted(page)) == 1
    expect(page.get_by_text("masked: lions")).to_be_visible()
    page.get_by_role("button", name="zebras; mask it").press("Space")
    expect(masks(page)).to_have_count(2)
    page.get_by_role("button", name="lions, masked; show it").press("Enter")
    expect(masks(page)).to_have_count(1)
    # What is masked stays masked while the text around it changes.
    page.get_by_label("Text", exact=True).fill("In the savanna the lions chase the striped zebras.")
    expect(page.get_by_role("button", name="zebras, masked; show it")).to_be_visible()
    expect(masks(page)).to_have_count(1)


def test_a_typed_mask_becomes_its_word_and_hides_no_other(visit: Visit) -> None:
    page = visit.go()
    text = page.get_by_label("Text", exact=True)
    text.fill("However [MASK] the lions hunt zebras.")
    page.get_by_role("button", name="zebras; mask it").click()
    predicted(page)
    page.get_by_role("region", name="Mask 1").locator(".candidate").nth(1).click()
    predicted(page)
    page.get_by_role("button", name=re.compile("^Mask; take")).click()
    expect(text).not_to_have_value(re.compile(r"\[MASK\]|##"))
    expect(page.get_by_role("button", name="zebras, masked; show it")).to_be_visible()
    expect(masks(page)).to_have_count(1)


def test_a_link_to_the_view_keeps_the_text_in_the_address(visit: Visit) -> None:
    page = visit.go()
    page.get_by_label("Text", exact=True).fill("The lions hunt.")
    expect(page).to_have_url(re.compile("lions"))
    page.get_by_role("navigation", name="Views").get_by_role("link", name="Fill").click()
    expect(page).to_have_url(re.compile("lions"))
    expect(page.get_by_label("Text", exact=True)).to_have_value("The lions hunt.")


def test_choosing_a_word_updates_the_other_masks(visit: Visit) -> None:
    page = visit.go()
    first, second = (page.get_by_role("region", name=f"Mask {nth}") for nth in (1, 2))
    predicted(page)
    before = second.locator(".candidate-share").all_text_contents()
    # An earlier question, about all masks together, may still be under way.
    with page.expect_request(lambda it: it.url.endswith("/fill-mask") and len(it.post_data_json["input"]) == 2) as sent:
        choice = first.locator(".candidate").nth(3)
        word = choice.locator(".candidate-word").text_content()
        choice.click()
    # The other mask beside the reader's word; and this one again, for what else might have stood here.
    beside, again = sent.value.post_data_json["input"]
    assert again == FOUNDING and beside.count("[MASK]") == 1
    expect(first.locator("[aria-pressed=true] .candidate-word")).to_have_text(str(word))
    assert predicted(page)[0] == word
    expect(second.locator(".candidate-share")).not_to_have_text(before)  # once the answer is there
    first.get_by_role("button", name="Let the model choose").click()
    expect(first.locator("[aria-pressed=true]")).to_have_count(0)
    expect(second.locator(".candidate-share")).to_have_text(before)


def test_a_sequence_fills_all_masks_at_once(visit: Visit) -> None:
    page = visit.go()
    third = page.get_by_role("region", name="All masks together").get_by_role("button").nth(2)
    expect(third.locator(".word")).to_have_count(2)
    words = third.locator(".word").all_text_contents()
    third.click()
    expect(page.locator(".figure .own")).to_have_count(2)
    expect(page.locator(".figure .predicted")).to_have_text(words)


def test_typing_asks_once_and_a_stale_question_is_dropped(visit: Visit) -> None:
    page = visit.page
    page.clock.install()
    visit.go()
    predicted(page)
    asked: list[str] = []
    dropped: list[Request] = []

    def hold_the_first(route: Route) -> None:
        asked.append(route.request.post_data_json["input"])
        if len(asked) > 1:
            route.continue_()  # the first is never answered

    page.route("**/v1/fill-mask", hold_the_first)
    page.on("requestfailed", lambda request: dropped.append(request))
    page.clock.pause_at(page.evaluate("Date.now() + 1000"))
    text = page.get_by_label("Text", exact=True)
    text.fill("")
    text.press_sequentially("A [MASK] fox")
    assert asked == []
    with page.expect_request("**/v1/fill-mask"):
        page.clock.run_for(400)
    text.press_sequentially(" jumps")
    with page.expect_response("**/v1/fill-mask"):
        page.clock.run_for(400)
    page.clock.resume()
    predicted(page)
    assert asked == ["A [MASK] fox", "A [MASK] fox jumps"]
    assert len(dropped) == 1


def test_a_link_carries_the_whole_state(visit: Visit, browser: Browser, origin: str) -> None:
    page = visit.go()
    page.get_by_role("button", name="Kitchen").click()
    expect(masks(page)).to_have_count(2)
    page.get_by_role("region", name="Mask 2").locator(".candidate").nth(1).click()
    expect(page.locator(".figure .own")).to_have_count(1)  # else the words may still be those before the click
    words = predicted(page)
    expect(page).to_have_url(re.compile("pick="))
    with visiting(browser, origin) as other:
        again = other.go(page.evaluate("location.hash"))
        expect(again.get_by_label("Text", exact=True)).to_have_value(
            "She boiled some water and drank a cup of green tea."
        )
        expect(again.locator(".figure .own")).to_have_count(1)
        assert predicted(again) == words
    page.go_back()  # the states of one view are one step in the history
    assert page.url == "about:blank"


def test_the_whole_text_is_coloured_by_how_well_it_is_understood(visit: Visit, origin: str) -> None:
    text = "😀 The capital of France is Paris."
    page = visit.go()
    page.get_by_label("Text", exact=True).fill(text)
    page.get_by_role("tab", name="Mask words").press("ArrowRight")
    scored = page.locator(".scored button.word")
    expect(scored).to_have_count(6)
    [answer] = http.post(f"{origin}/v1/score", json={"model": "tiny", "input": text, "top_k": 5}).json()["data"]
    capital = page.get_by_role("group", name="Words by how well").get_by_role("button", name="capital")
    capital.click()
    chosen = page.locator(".panel", has=page.get_by_role("heading", name="capital"))
    expect(chosen.get_by_role("listitem")).to_have_count(5)
    expect(page.get_by_text(f"{answer['pseudo_perplexity']:,.2f}".rstrip("0").rstrip("."))).to_be_visible()
    visit.check_accessibility()
    visit.check_width()
    chosen.get_by_role("button", name="Mask this word").click()
    expect(page.get_by_role("button", name="capital, masked; show it")).to_be_visible()


def test_two_models_are_asked_side_by_side(visit: Visit, cloze: Server, origin: str, tmp_path: Path) -> None:
    store = ModelStore(cloze.store)
    import_folder(store, tiny_bert_folder(tmp_path / "other", seed=7), "other")
    try:
        page = visit.go("#/fill?model=tiny")
        page.get_by_label("Beside it").select_option("other")
        beside = page.get_by_role("region", name="Predictions of other")
        expect(beside.get_by_role("region", name="Mask 2").locator(".candidate")).to_have_count(6)
        body = {"model": "other", "input": FOUNDING, "top_k": 6, "num_sequences": 5}
        [answer] = http.post(f"{origin}/v1/fill-mask", json=body).json()["data"]
        words = beside.get_by_role("region", name="Mask 1").locator(".candidate-word").all_text_contents()
        best = [candidate["token_str"].strip() for candidate in answer["masks"][0]["candidates"]]
        assert [word.removeprefix("…") for word in words] == [each.removeprefix("##") for each in best]
        expect(page).to_have_url(re.compile("beside=other"))
        visit.check_accessibility()
        visit.check_width()
    finally:
        store.delete("other@1")


def test_a_text_that_is_not_scored_has_no_colours_of_another(visit: Visit) -> None:
    visit.expected = ["422"]
    page = visit.go("#/fill?tab=whole&text=The+lions+hunt.")
    expect(page.locator(".scored button.word")).to_have_count(3)
    page.get_by_label("Text", exact=True).fill("word " * 80)
    expect(page.get_by_role("alert")).to_contain_text("64")  # the tiny model's length
    expect(page.locator(".scored .word")).to_have_count(80)
    expect(page.locator(".scored [class*=level-]")).to_have_count(0)
    page.get_by_role("tab", name="Whole text").press("ArrowLeft")
    page.get_by_label("Text", exact=True).fill("The [MASK] hunt.")
    expect(page.locator(".figure .predicted")).to_have_count(1)
    page.get_by_label("Text", exact=True).fill("The [MASK] " + "word " * 80)
    expect(page.get_by_role("alert")).to_contain_text("64")
    expect(page.locator(".figure .predicted")).to_have_count(0)


def test_the_request_is_copied_as_code_that_runs(browser: Browser, origin: str) -> None:
    with visiting(browser, origin, permissions=["clipboard-read", "clipboard-write"]) as visit:
        page = visit.go()
        predicted(page)
        page.get_by_text("This request as code").click()
        page.get_by_role("button", name="Copy", exact=True).click()
        expect(page.get_by_text("Copied as curl")).to_be_visible()
        command = shlex.split(page.evaluate("navigator.clipboard.readText()").replace("\\\n", " "))
        assert command[:2] == ["curl", f"{origin}/v1/fill-mask"]
        assert json.loads(command[command.index("-d") + 1])["input"] == FOUNDING
        page.get_by_text("Python", exact=True).click()
        page.get_by_role("button", name="Copy", exact=True).click()
        expect(page.get_by_text("Copied as Python")).to_be_visible()
        code = page.evaluate("navigator.clipboard.readText()")
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "'object': 'fill_mask'" in ran.stdout


def test_what_cannot_be_asked_is_told(visit: Visit) -> None:
    visit.expected = ["422"]  # Chromium writes every failed request into the console
    page = visit.go()
    page.get_by_label("Text", exact=True).fill("word " * 80 + "[MASK]")
    expect(page.get_by_role("alert")).to_contain_text("64")  # the tiny model's length
    page.get_by_label("Text", exact=True).fill("")
    expect(page.get_by_text("Type a text above to begin.")).to_be_visible()
