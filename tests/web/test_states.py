"""What the page does while things are not as they should be: no model, no key, no room, no server."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect

from app.access.key_store import KeyStore
from app.jobs.connection import Client, EmbeddedRedis
from app.main import create_app
from app.settings import Settings
from app.store.manifest import Manifest
from app.store.store import ModelStore
from app.types import ModalityName, Task
from tests.fakes.browser import HeldRequests, Visit, visiting
from tests.fakes.http import http
from tests.fakes.objective import FakeObjective
from tests.fakes.redis import redis, redis_server  # noqa: F401
from tests.fakes.server import serving

Serve = Callable[..., Any]


@pytest.fixture
def fake() -> FakeObjective:
    return FakeObjective()


@pytest.fixture
def serve(tmp_path: Path, fake: FakeObjective) -> Serve:
    """Servers of a store with the model `fake`, unless it is to be empty."""
    store = ModelStore(tmp_path / "models")

    @contextmanager
    def serve(*, empty: bool = False, port: int = 0, **settings: Any) -> Iterator[str]:
        if not empty and not store.list():
            (weights := tmp_path / "weights").mkdir()
            (weights / "model.safetensors").write_bytes(b"none")
            tasks = (Task.FILL_MASK, Task.EMBED)
            manifest = Manifest(modality=ModalityName.TEXT, architecture="fake", tasks=tasks, parameters=2)
            store.publish(weights, manifest, name="fake")
        values = {"var_dir": tmp_path / "var", "device": "cpu", "threads": 1, **settings}
        with serving(create_app(Settings(**values), store=store, load=lambda _: fake), port) as origin:
            yield origin

    return serve


def test_the_first_visit_to_an_empty_store_says_what_to_do(browser: Browser, serve: Serve) -> None:
    with serve(empty=True) as origin, visiting(browser, origin) as visit:
        page = visit.go()
        expect(page.get_by_role("heading", name="No model fills masks yet")).to_be_visible()
        visit.check_accessibility()
        page.get_by_role("link", name="See the models").click()
        expect(page.get_by_role("heading", name="The store is empty")).to_be_visible()
        page.get_by_role("navigation").get_by_role("link", name="Embed").click()
        expect(page.get_by_role("heading", name="No model embeds yet")).to_be_visible()


def test_a_key_is_asked_for_and_kept_for_the_tab_only(browser: Browser, serve: Serve) -> None:
    with serve(api_keys=["right"]) as origin, visiting(browser, origin) as visit:
        visit.expected = ["401"]
        page = visit.go("#/fill?text=a+[MASK]")
        dialog = page.get_by_role("dialog", name="This server asks for an API key")
        dialog.get_by_label("API key").fill("wrong")
        dialog.get_by_label("API key").press("Enter")
        expect(dialog.get_by_text("The server does not know this key.")).to_be_visible()
        visit.check_accessibility()
        dialog.get_by_label("API key").fill("right\u200b")  # no header can carry it
        dialog.get_by_role("button", name="Continue").click()
        expect(dialog.get_by_text("a character that no key can have")).to_be_visible()
        dialog.get_by_label("API key").fill("right")
        dialog.get_by_role("button", name="Continue").click()
        expect(dialog).to_have_count(0)
        expect(page.locator(".figure .predicted")).to_have_count(1)
        assert page.evaluate("JSON.stringify([{...sessionStorage}, {...localStorage}, document.cookie])") == (
            '[{"cloze.key":"right"},{},""]'
        )
        page.reload()
        expect(page.locator(".figure .predicted")).to_have_count(1)
        page.get_by_text("This request as code").click()
        expect(page.locator("pre")).to_contain_text("$CLOZE_API_KEY")  # never the key itself
        page.get_by_role("button", name="Forget the API key").click()
        assert page.evaluate("sessionStorage.length") == 0


def test_a_key_without_the_scope_can_be_exchanged(
    browser: Browser,
    serve: Serve,
    redis: Client,  # noqa: F811
    redis_server: EmbeddedRedis,  # noqa: F811
) -> None:
    _, secret = KeyStore(redis, keeps_admin=False).create("reader", ["predict"])
    with serve(redis_url=redis_server.url, require_keys=True) as origin, visiting(browser, origin) as visit:
        visit.expected = ["401", "403"]
        page = visit.go("#/files")
        dialog = page.get_by_role("dialog", name="This server asks for an API key")
        dialog.get_by_label("API key").fill(secret)
        dialog.get_by_role("button", name="Continue").click()
        note = page.get_by_role("alert").filter(has_text="needs an API key with the scope `jobs`").first
        expect(note).to_be_visible()
        note.get_by_role("button", name="Use another key").click()
        expect(dialog).to_be_visible()


def test_a_busy_server_is_asked_again(browser: Browser, serve: Serve, fake: FakeObjective) -> None:
    with serve(max_queued_inputs=1) as origin, visiting(browser, origin) as visit:
        http.post(f"{origin}/v1/fill-mask", json={"input": "a [MASK]"}).raise_for_status()
        fake.gate.clear()
        other = threading.Thread(
            target=http.post, args=(f"{origin}/v1/fill-mask",), kwargs={"json": {"input": "b [MASK]"}, "timeout": None}
        )
        other.start()
        try:
            fake.started.acquire(timeout=20)
            visit.expected = ["429"]
            page = visit.go("#/fill?text=c+[MASK]")
            expect(page.get_by_text("The server is busy.")).to_contain_text("Trying again in")
            expect(page.locator(".figure .predicted")).to_have_count(0)
        finally:
            fake.gate.set()
            other.join()
        expect(page.locator(".figure .predicted")).to_have_count(1)
        expect(page.get_by_text("The server is busy.")).to_have_count(0)


def test_a_restart_loses_nothing(browser: Browser, serve: Serve) -> None:
    with serve() as origin:
        context = visiting(browser, origin)
        visit = context.__enter__()
        page = visit.go("#/fill?text=a+[MASK]")
        expect(page.locator(".figure .predicted")).to_have_count(1)
    visit.expected = ["ERR_CONNECTION", "ERR_EMPTY_RESPONSE"]
    page.get_by_label("Text", exact=True).fill("another [MASK] while it was away")
    expect(page.get_by_text("The server does not answer")).to_be_visible()
    with serve(port=urlsplit(origin).port):
        expect(page.get_by_text("The server does not answer")).to_have_count(0)
        expect(page.locator(".filled")).to_have_attribute("aria-busy", "false")
        expect(page.locator(".figure .predicted")).to_have_count(1)
        expect(page.get_by_label("Text", exact=True)).to_have_value("another [MASK] while it was away")
        context.__exit__(None, None, None)


def test_a_slow_network_is_shown(visit: Visit) -> None:
    answers = HeldRequests(visit.page, "**/v1/fill-mask")
    page = visit.go()
    expect(page.get_by_text("Waiting for the server")).to_be_attached()
    expect(page.locator(".skeleton")).to_have_count(2)
    answers.release()
    expect(page.locator(".figure .predicted")).to_have_count(2)
    expect(page.get_by_text("Waiting for the server")).to_have_count(0)


def test_an_internal_error_names_its_request(browser: Browser, serve: Serve, fake: FakeObjective) -> None:
    with serve() as origin, visiting(browser, origin) as visit:
        http.post(f"{origin}/v1/fill-mask", json={"input": "a [MASK]"}).raise_for_status()
        fake.errors.append(RuntimeError("broken"))
        visit.expected = ["500"]
        page = visit.go("#/fill?text=c+[MASK]")
        expect(page.get_by_role("alert").locator("code")).to_be_visible()
        page.get_by_role("button", name="Try again").click()
        expect(page.locator(".figure .predicted")).to_have_count(1)
        expect(page.get_by_role("alert")).to_have_count(0)
