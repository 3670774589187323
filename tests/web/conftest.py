"""One browser and one real server (`cloze serve`, with Redis and a worker) for all tests of the page."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol
from playwright.sync_api import Browser, BrowserContext, Playwright, sync_playwright

from app.store.store import ModelStore
from tests.fakes.browser import ARGUMENTS, Visit, find_browser, new_context
from tests.fakes.cloze import Server
from tests.fakes.imports import import_folder
from tests.fakes.pools import _pools, servers_share_processes  # noqa: F401
from tests.fakes.tiny_models import tiny_bert_folder

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Repeats a failed test of the page once, as Playwright's own runner can. The summary lists it as flaky."""
    if not item.path.is_relative_to(HERE):
        return None  # pytest calls this hook of a folder for the tests of all
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    failures = [report.longreprtext for report in reports if report.failed]
    if failures:
        item.user_properties.append(("flaky", "\n".join(failures)))
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        for report in reports:
            if report.failed:
                report.sections.append(("the first try", "\n".join(failures)))
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="package")
def browser(playwright: Playwright) -> Iterator[Browser]:
    path = find_browser(playwright)
    if path is None:
        pytest.skip("no browser: `python scripts/browser.py` installs one, or CHROMIUM names it")
    browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
    yield browser
    browser.close()


@pytest.fixture(scope="package")
def cloze(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory, warm_processes: dict[str, str]
) -> Iterator[Server]:
    """A server with the text model `tiny`; it asks for a browser first, to be skipped without one."""
    folder = tmp_path_factory.mktemp("cloze")
    store = ModelStore(folder / "store")
    import_folder(store, tiny_bert_folder(folder / "tiny"), "tiny")
    # Whatever jobs publish, the default stays.
    server = Server(folder, environment={"CLOZE_DEFAULT_MODEL": "tiny", **warm_processes})
    try:
        server.wait_for(r"tiny@1 is ready")
        yield server
    finally:
        assert server.stop() == 0, server.output


@pytest.fixture(scope="package")
def origin(cloze: Server) -> str:
    return cloze.wait_for(r"Listening on (http://127\.0\.0\.1:\d+)\n")[1]


@pytest.fixture(scope="package")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Shared by most visits, so that the page's files come from the browser's cache."""
    context = new_context(browser)
    yield context
    context.close()


@pytest.fixture
def visit(context: BrowserContext, origin: str) -> Iterator[Visit]:
    """A new tab. A test that leaves something in local storage takes `visiting` instead."""
    visit = Visit(context, origin)
    yield visit
    visit.page.close()
    visit.check()
