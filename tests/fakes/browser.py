"""A real browser for tests of the page: Debian's Chromium, or Playwright's own."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from os import environ
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, Request, Route, expect

# The headless shell is the same engine without a window of its own: it takes a third of the processor's time.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",  # tests may run as root, where the sandbox cannot
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--use-fake-device-for-media-stream",  # a camera that shows a test pattern
    "--use-fake-ui-for-media-stream",  # which a page may use
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # nothing leaves this machine
]
WIDE, NARROW = {"width": 1280, "height": 860}, {"width": 360, "height": 740}
PATIENCE = 60_000  # ms, on a busy machine

expect.set_options(timeout=PATIENCE)


def find_browser(playwright: Playwright) -> str | None:
    """The path of a browser: CHROMIUM's, one of the system, or what `playwright install` has brought."""
    own = Path(playwright.chromium.executable_path)
    found = environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    return found or (str(own) if own.exists() else None)


_SETTLED = """() => document.getAnimations().every(
    each => each.playState !== "running" || each.effect.getComputedTiming().iterations === Infinity)"""


class Visit:
    """A page in a browser, and everything about it that should never be."""

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.origin = origin
        self.faults: list[str] = []
        self.expected: list[str] = []  # parts of messages that a test provokes: a 500's line in the console
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE)
        # Without `route`, which asks this process about each file, and keeps them all out of the browser's cache.
        self.page.on("request", self._check_origin)
        self.page.on("console", lambda message: message.type == "error" and self.faults.append(message.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))

    def _is_own(self, url: str) -> bool:
        return url.startswith(self.origin) or urlsplit(url).scheme in ("data", "blob")

    def _check_origin(self, request: Request) -> None:
        if not self._is_own(request.url):
            self.faults.append(f"a request to another origin: {request.url}")

    def check(self) -> None:
        """No error in the console, no uncaught exception, no request to elsewhere."""
        faults = [fault for fault in self.faults if not any(part in fault for part in self.expected)]
        assert faults == [], "\n".join(faults)

    def go(self, fragment: str = "") -> Page:
        """Opens the page anew at `#…`, and waits until the shell is there."""
        if self.page.url.startswith(self.origin):
            self.page.goto("about:blank")  # else only the fragment would change
        self.page.goto(f"{self.origin}/{fragment}")
        self.page.get_by_role("navigation", name="Views").wait_for()
        return self.page

    def check_accessibility(self) -> None:
        """axe-core finds nothing serious or critical in what is shown now, light and dark."""
        for scheme, rules in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):  # dark differs in colours only
            self.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            self.page.wait_for_function(_SETTLED)  # text that fades in has too little contrast
            found: dict[str, Any] = Axe().run(self.page, options={"resultTypes": ["violations"]} | rules).response
            serious = [
                f"{scheme}: {each['id']}: {node['html'][:160]}: {node.get('failureSummary', '')[:300]}"
                for each in found["violations"]
                if each["impact"] in ("serious", "critical")
                for node in each["nodes"]
            ]
            assert serious == [], "\n".join(serious)

    def check_width(self) -> None:
        """Nothing makes the page scroll sideways, on a phone neither."""
        before = self.page.viewport_size
        for size in (NARROW, WIDE):
            self.page.set_viewport_size(size)  # type: ignore[arg-type]
            wider = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wider <= 0, f"{wider} px too wide at {size['width']} px"
        if before:
            self.page.set_viewport_size(before)


class HeldRequests:
    """Keeps the requests of a page that match a pattern waiting, until they are released."""

    def __init__(self, page: Page, pattern: str) -> None:
        self._waiting: list[Route] | None = []
        page.route(pattern, self._hold)

    def _hold(self, route: Route) -> None:
        if self._waiting is None:
            route.continue_()
        else:
            self._waiting.append(route)

    def release(self) -> None:
        """Lets them go on, and later ones pass."""
        waiting, self._waiting = self._waiting or [], None
        for route in waiting:
            route.continue_()


def new_context(browser: Browser, **options: Any) -> BrowserContext:
    return browser.new_context(**{"viewport": WIDE, "reduced_motion": "reduce", **options})


@contextmanager
def visiting(browser: Browser, origin: str, **options: Any) -> Iterator[Visit]:
    """A visit in a context of its own (no storage, no cache of earlier ones), checked at its end."""
    context = new_context(browser, **options)
    try:
        visit = Visit(context, origin)
        yield visit
        visit.check()
    finally:
        context.close()
