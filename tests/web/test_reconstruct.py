"""Reconstruct, from a user's hands: tiny models of every modality behind a real server."""

import base64
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from app.store.store import ModelStore
from tests.fakes.browser import Visit, visiting
from tests.fakes.cloze import Server
from tests.fakes.imports import import_folder
from tests.fakes.media import FIXTURES
from tests.fakes.tiny_audio import tiny_audio_folder
from tests.fakes.tiny_images import tiny_image_folder
from tests.fakes.tiny_videos import tiny_video_folder

FOLDERS = {"tiny-image": tiny_image_folder, "tiny-audio": tiny_audio_folder, "tiny-video": tiny_video_folder}


@pytest.fixture(scope="module", autouse=True)
def media_models(cloze: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Published while the server runs, and gone for the tests of other views."""
    store = ModelStore(cloze.store)
    for name, build in FOLDERS.items():
        folder = build(tmp_path_factory.mktemp("media") / name)
        import_folder(store, folder, name)
    yield
    for name in FOLDERS:
        shutil.rmtree(Path(cloze.store) / name)


def masked(page: Page) -> int:
    """How many patches the page says are masked, once no newer answer is awaited."""
    expect(page.get_by_text("Predicting…")).to_have_count(0)
    found = re.match(r"(\d+) of \d+ patches", page.get_by_text("patches are masked").inner_text())
    assert found is not None
    return int(found[1])


def test_an_example_is_masked_predicted_and_scored(visit: Visit) -> None:
    page = visit.go("#/reconstruct?model=tiny-image")
    expect(page.get_by_text("Nothing is masked yet")).to_be_visible()
    page.get_by_role("button", name="Example: Sunflower").click()
    expect(page.get_by_role("heading", name=re.compile(r"dB PSNR"))).to_be_visible()
    assert masked(page) == 12  # of 16: three quarters, as the model was trained
    for title in ("Original", "Masked", "Predicted"):
        expect(page.locator("figcaption", has_text=title)).to_be_visible()
    expect(page.get_by_text("Smooth interpolation")).to_be_visible()
    page.get_by_label("Masked share").fill("0.25")
    expect(page.get_by_text("4 of 16 patches are masked")).to_be_visible()
    page.get_by_label("Strategy").select_option("block")
    page.get_by_role("button", name="Another mask").click()
    expect(page).to_have_url(re.compile("example=sunflower.*strategy=block.*ratio=0.25.*seed=1"))
    page.get_by_text("Look closer").click()
    slider = page.get_by_label("Original or predicted")
    slider.fill("0.25")
    assert page.locator(".after").evaluate("image => image.style.clipPath").endswith("25%)")
    expect(page.get_by_role("img", name=re.compile(r"^Error of every pixel: on average [\d.]+%"))).to_be_visible()
    page.get_by_text("Copy as curl or Python").click()
    code = page.get_by_role("region", name="This request as code")
    for part in ("file=@sunflower.jpg", "mask_strategy=block", "mask_ratio=0.25", "seed=1"):
        expect(code).to_contain_text(part)
    code.get_by_text("Python").click()
    expect(code).to_contain_text('"mask_ratio": "0.25"')
    visit.check_accessibility()
    visit.check_width()


def test_the_mask_is_painted_by_mouse_and_by_keyboard_and_shared(visit: Visit) -> None:
    page = visit.go("#/reconstruct?model=tiny-image&example=sunflower&ratio=0.25")
    expect(page.get_by_text("4 of 16 patches are masked")).to_be_visible()
    page.get_by_text("Painted").click()
    page.get_by_role("button", name="Show all").click()
    expect(page.get_by_text("Mask at least one patch")).to_be_visible()
    painter = page.get_by_role("application", name="Mask of the picture")
    box = painter.bounding_box()
    assert box is not None
    cell = box["width"] / 4
    page.mouse.move(box["x"] + cell / 2, box["y"] + cell / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 3.5 * cell, box["y"] + cell / 2)  # one fast stroke leaves no gap
    page.mouse.up()
    expect(page.get_by_text("4 of 16 patches are masked")).to_be_visible()
    painter.focus()
    for key in ("ArrowDown", "Space", "ArrowRight", "Shift+ArrowRight"):
        page.keyboard.press(key)
    expect(painter).to_contain_text("Row 2, column 3: visible")
    page.keyboard.press("Space")
    expect(page.get_by_text("6 of 16 patches are masked")).to_be_visible()
    expect(page).to_have_url(re.compile(r"mask=4x4\.XwA"))  # row 1, and two patches of row 2
    page.reload()  # what the address says is what another visitor sees
    expect(page.get_by_text("6 of 16 patches are masked")).to_be_visible()
    expect(page.get_by_role("heading", name=re.compile(r"dB PSNR"))).to_be_visible()


def test_the_mask_is_painted_by_touch(browser: Browser, origin: str) -> None:
    options = {"has_touch": True, "viewport": {"width": 390, "height": 800}}
    with visiting(browser, origin, **options) as visit:
        page = visit.go("#/reconstruct?model=tiny-image&example=sunflower&ratio=0.25")
        before = masked(page)
        painter = page.get_by_role("application", name="Mask of the picture")
        painter.scroll_into_view_if_needed()
        painter.tap(position={"x": 10, "y": 10})
        expect(page).to_have_url(re.compile(r"mask=4x4\."))
        assert abs(masked(page) - before) == 1


def test_a_sound_is_heard_and_masked_by_ranges_of_time(visit: Visit) -> None:
    page = visit.go("#/reconstruct?model=tiny-image")
    page.get_by_role("button", name="Example: Rooster").click()
    expect(page.get_by_role("heading", name=re.compile(r"dB PSNR"))).to_be_visible()
    page.get_by_role("button", name="Play: Predicted").click()
    page.get_by_role("button", name="Pause: Predicted").click()
    page.get_by_text("Time ranges").click()
    expect(page.get_by_text("Choose what to mask")).to_be_visible()
    box = page.locator(".range-painter").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 20)
    page.mouse.up()
    expect(page.get_by_label("Start of range 1")).to_have_value(re.compile(r"0\.6\d?"))
    page.get_by_role("button", name="Add a range").click()
    page.get_by_label("End of range 2").fill("2")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"ranges="))
    assert masked(page) > 0
    page.get_by_role("button", name="Remove range 1").click()
    expect(page.get_by_label("Start of range 2")).to_have_count(0)
    visit.check_accessibility()
    visit.check_width()


def test_a_video_plays_and_is_painted_moment_by_moment(visit: Visit) -> None:
    page = visit.go("#/reconstruct?example=walk")
    expect(page.get_by_role("heading", name=re.compile(r"dB PSNR"))).to_be_visible()
    films = page.locator(".triptych video")
    expect(films).to_have_count(3)
    for which in range(3):
        expect(films.nth(which)).to_have_js_property("readyState", 4)
    page.get_by_role("button", name=re.compile("^Moment 2")).click()  # which stops it there
    at = films.first.evaluate("film => film.currentTime")
    assert at > 0
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    page.get_by_text("Painted").click()
    page.get_by_role("button", name="Show all").click()
    page.get_by_role("button", name="Mask moment 2").click()
    expect(page.get_by_role("button", name="Moment 2, 100% masked")).to_be_visible()
    one_moment = masked(page)
    for which in range(3):  # films of a newer answer, at the same moment
        expect(films.nth(which)).to_have_js_property("currentTime", at)
    page.get_by_role("application", name="Mask of the video").focus()
    page.get_by_role("button", name=re.compile("^Moment 1")).click()
    page.get_by_role("application", name="Mask of the video").press("Space")  # a patch, at all moments
    expect(page.get_by_role("button", name=re.compile(r"Moment 1, (?!0%)"))).to_be_visible()
    assert masked(page) > one_moment
    visit.check_accessibility()
    visit.check_width()


def test_a_strategy_stays_with_its_kind(visit: Visit) -> None:
    page = visit.go("#/reconstruct?example=walk&strategy=frame")
    expect(page.get_by_role("heading", name=re.compile(r"dB PSNR"))).to_be_visible()
    expect(page.get_by_label("Strategy")).to_have_value("frame")
    page.get_by_role("button", name="Example: Sunflower").click()
    expect(page.get_by_text("12 of 16 patches are masked")).to_be_visible()
    expect(page).not_to_have_url(re.compile("strategy"))
    page.evaluate("location.hash = '#/reconstruct?example=leopard&ratio=0.5'")  # as an edit of the address
    expect(page.get_by_text("8 of 16 patches are masked")).to_be_visible()
    expect(page.get_by_role("button", name="Example: Leopard")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_file_of_ones_own_is_shown_and_a_broken_one_is_explained(visit: Visit, tmp_path: Path) -> None:
    page = visit.go("#/reconstruct?model=tiny-image")
    chooser = page.get_by_label(re.compile("Drop an image"))
    chooser.set_input_files(FIXTURES / "photo.jpg")
    expect(page.get_by_role("heading", name=re.compile(r"dB PSNR"))).to_be_visible()
    expect(page.get_by_text("photo.jpg", exact=True)).to_be_visible()
    assert "example=" not in page.url
    broken = tmp_path / "broken.png"
    broken.write_bytes((FIXTURES / "photo.png").read_bytes()[:100])
    visit.expected.append("422")
    chooser.set_input_files(broken)
    expect(page.get_by_role("alert")).to_contain_text("PNG")
    expect(page.get_by_role("heading", name=re.compile(r"dB PSNR"))).to_have_count(0)


PASTE = """(base64) => {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const clipboardData = new DataTransfer();
  clipboardData.items.add(new File([bytes], "pasted.jpg", { type: "image/jpeg" }));
  document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
}"""


def test_a_picture_is_pasted_and_another_one_taken_by_the_camera(visit: Visit) -> None:
    page = visit.go("#/reconstruct?model=tiny-image")
    expect(page.get_by_role("button", name="Use the camera")).to_be_visible()
    page.evaluate(PASTE, base64.b64encode((FIXTURES / "photo.jpg").read_bytes()).decode())
    expect(page.get_by_text("pasted.jpg", exact=True)).to_be_visible()
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("button", name="Take the picture").click()
    expect(page.get_by_text("camera.jpg", exact=True)).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("heading", name=re.compile(r"dB PSNR"))).to_be_visible()
    visit.check_accessibility()


WATCHED_FETCH = """
window.abandoned = [];
const plain = window.fetch;
window.fetch = (address, options) => {
  const answer = plain(address, options);
  answer.catch((error) => error.name === "AbortError" && window.abandoned.push(String(address)));
  return answer;
};
"""


def test_stale_questions_are_cancelled(visit: Visit) -> None:
    visit.page.add_init_script(WATCHED_FETCH)
    page = visit.go("#/reconstruct?model=tiny-image&example=sunflower")
    expect(page.get_by_role("heading", name=re.compile(r"dB PSNR"))).to_be_visible()
    held: list[Route] = []

    def hold_the_first(route: Route) -> None:
        return route.continue_() if held else held.append(route)

    page.route("**/v1/reconstruct", hold_the_first)
    with page.expect_request("**/v1/reconstruct"):
        page.get_by_label("Masked share").fill("0.5")
    page.get_by_label("Masked share").fill("0.25")
    expect(page.get_by_text("4 of 16 patches are masked")).to_be_visible()
    assert page.evaluate("window.abandoned.filter((each) => each.endsWith('/v1/reconstruct')).length") == len(held) == 1


def test_without_a_model_the_way_to_one_is_shown(visit: Visit) -> None:
    def without_audio(route: Route) -> None:
        answer = route.fetch()
        models = answer.json()
        models["data"] = [model for model in models["data"] if model["modality"] != "audio"]
        route.fulfill(response=answer, json=models)

    visit.page.route("**/v1/models", without_audio)
    page = visit.go("#/reconstruct?example=rooster")
    expect(page.get_by_role("heading", name="No model for sound yet")).to_be_visible()
    visit.check_accessibility()
    page.get_by_role("link", name="Train a model").click()
    expect(page.get_by_role("radio", name="Sound")).to_be_checked()
