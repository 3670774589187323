import asyncio
import base64
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request

from app.api import media_inputs
from app.api.media_inputs import RemoteMedia, fetch_all, media, text_or_media, typed_media
from app.errors import InvalidData, TooLarge
from app.settings import Settings
from tests.fakes.loader import WAIT, occurs

URI = "data:image/png;base64," + base64.b64encode(b"pixels").decode()


def test_only_data_uris_of_media_are_media() -> None:
    assert text_or_media(URI) == b"pixels"
    for text in ("a lion", "data: the new oil", "data:text/plain;base64,YQ==", "https://example.org/a.png", ""):
        assert text_or_media(text) == text


@pytest.mark.parametrize("kind", ["image_url", "audio_url", "video_url"])
def test_typed_inputs_are_openais(kind: str) -> None:
    assert typed_media({"type": kind, kind: {"url": URI, "detail": "low"}}) == b"pixels"
    assert typed_media({"type": kind, kind: URI}) == b"pixels"
    assert typed_media({"type": kind, kind: {"url": "https://a.example/b"}}) == RemoteMedia("https://a.example/b")


def test_spoken_input_is_plain_base64() -> None:
    assert typed_media({"type": "input_audio", "input_audio": {"data": "cGl4ZWxz", "format": "wav"}}) == b"pixels"
    assert media("cGl4ZWxz") == b"pixels"


@pytest.mark.parametrize(
    "value",
    [{}, {"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "image_url", "image_url": {}}, {"type": []}],
)
def test_other_objects_are_no_media(value: object) -> None:
    with pytest.raises(ValueError, match="image_url"):
        media(value)


@pytest.mark.parametrize("value", [None, "", 3, [URI]])
def test_other_values_are_no_media(value: object) -> None:
    with pytest.raises(ValueError, match="expected a file"):
        media(value)


def test_broken_base64_names_the_field() -> None:
    for value in ("data:image/png;base64,!!", "!!"):
        with pytest.raises(InvalidData) as error:
            media(value)
        assert error.value.param == "input"


REMOTE = [RemoteMedia(f"https://a.example/{number}") for number in range(20)]


class Net:
    """Stands in for `fetch`. asked: the addresses so far. Each waits for the gate."""

    def __init__(self, content: Callable[[str], bytes]) -> None:
        self.content = content
        self.asked: list[str] = []
        self.entered = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, url: str, **options: Any) -> bytes:
        assert threading.current_thread().name.startswith("fetch")
        self.asked.append(url)
        self.entered.release()
        assert self.gate.wait(WAIT)
        return self.content(url)


@pytest.fixture
def services() -> Iterator[Any]:
    with ThreadPoolExecutor(8, thread_name_prefix="fetch") as executor:
        yield SimpleNamespace(settings=Settings(max_body_bytes=100), fetching=executor)


def run(services: Any, net: Net, inputs: list[Any], monkeypatch: pytest.MonkeyPatch, **options: Any) -> Any:
    monkeypatch.setattr(media_inputs, "fetch", net)
    return asyncio.run(asyncio.wait_for(fetch_all(services, inputs, **options), WAIT))


def test_addresses_become_their_content_in_place(services: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net(lambda url: url[-1].encode())
    inputs = ["a text", *REMOTE[:6], b"bytes"]
    assert run(services, net, inputs, monkeypatch) == ["a text", b"0", b"1", b"2", b"3", b"4", b"5", b"bytes"]


def test_all_that_is_fetched_for_a_request_is_bounded(services: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net(lambda url: b"x" * 100)
    assert len(run(services, net, REMOTE[:4], monkeypatch)) == 4
    net.asked.clear()
    with pytest.raises(TooLarge, match="400 bytes") as caught:
        run(services, net, REMOTE, monkeypatch)
    assert caught.value.param == "input"
    assert len(net.asked) < 10


def test_nothing_more_is_fetched_once_one_has_failed(services: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str) -> bytes:
        raise InvalidData("it is not there")

    net = Net(refuse)
    with pytest.raises(InvalidData) as caught:
        run(services, net, REMOTE, monkeypatch)
    assert caught.value.param == "input"
    assert len(net.asked) <= 4


def test_nothing_more_is_fetched_for_who_has_left(services: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net(lambda url: b"x")
    net.gate.clear()

    async def receive() -> dict[str, str]:
        for _ in range(4):
            await occurs(net.entered)
        return {"type": "http.disconnect"}

    with pytest.raises(ClientDisconnect):
        run(services, net, REMOTE, monkeypatch, request=Request({"type": "http"}, receive))
    net.gate.set()
    services.fetching.shutdown()
    assert len(net.asked) == 4
