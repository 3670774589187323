"""What surrounds every view: navigation, theme, keyboard, and that nothing leaves this origin."""

import re

from playwright.sync_api import Browser, expect

from tests.fakes.browser import Visit, visiting

VIEWS = ["Fill", "Reconstruct", "Embed", "Classify", "Tokens", "Jobs", "Files", "Models"]


def test_every_view_opens_from_the_navigation(visit: Visit) -> None:
    page = visit.go()
    for name in [*VIEWS[1:], VIEWS[0]]:
        page.get_by_role("navigation").get_by_role("link", name=name).click()
        expect(page).to_have_title(f"{name} · Cloze")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert page.evaluate("document.activeElement.id") == "main"  # a screen reader starts in the view


def test_an_unknown_view_leads_back(visit: Visit) -> None:
    page = visit.go("#/nowhere")
    page.get_by_role("link", name="Go to Fill").click()
    expect(page).to_have_title("Fill · Cloze")


def test_the_theme_is_kept(browser: Browser, origin: str) -> None:
    with visiting(browser, origin) as visit:
        page = visit.go()
        for theme in ("light", "dark"):
            page.get_by_role("button", name=re.compile("Theme")).click()
            expect(page.locator("html")).to_have_attribute("data-theme", theme)
        page.reload()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 20, 21)"


def test_the_keyboard_reaches_the_content_at_once(visit: Visit) -> None:
    page = visit.go()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
