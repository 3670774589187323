"""Files by their address: in place, bounded, and none for a caller that has left."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from app.errors import InvalidData, TooLarge
from app.inference.remote_media import MediaFetcher, RemoteMedia
from tests.fakes.loader import WAIT, occurs

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


def run(net: Net, inputs: list[Any], *, until: Callable[[], Awaitable[None]] | None = None) -> Sequence[Any]:
    """until: when the caller leaves; it does not unless given."""
    fetcher = MediaFetcher(max_bytes=100, timeout=WAIT, download=net)

    async def main() -> Sequence[Any]:
        fetching = asyncio.create_task(fetcher.fetch_all(inputs))
        if until is not None:
            await until()
            fetching.cancel()
        return await asyncio.wait_for(fetching, WAIT)

    try:
        return asyncio.run(main())
    finally:
        net.gate.set()
        fetcher.close()


def test_addresses_become_their_content_in_place() -> None:
    net = Net(lambda url: url[-1].encode())
    inputs = ["a text", *REMOTE[:6], b"bytes"]
    assert run(net, inputs) == ["a text", b"0", b"1", b"2", b"3", b"4", b"5", b"bytes"]


def test_all_that_is_fetched_for_a_request_is_bounded() -> None:
    net = Net(lambda url: b"x" * 100)
    assert len(run(net, REMOTE[:4])) == 4
    net.asked.clear()
    with pytest.raises(TooLarge, match="400 bytes") as caught:
        run(net, REMOTE)
    assert caught.value.param == "input"
    assert len(net.asked) < 10


def test_nothing_more_is_fetched_once_one_has_failed() -> None:
    def refuse(url: str) -> bytes:
        raise InvalidData("it is not there")

    net = Net(refuse)
    with pytest.raises(InvalidData) as caught:
        run(net, REMOTE)
    assert caught.value.param == "input"
    assert len(net.asked) <= 4


def test_nothing_more_is_fetched_for_a_caller_that_has_left() -> None:
    net = Net(lambda url: b"x")
    net.gate.clear()

    async def four_have_begun() -> None:
        for _ in range(4):
            await occurs(net.entered)

    with pytest.raises(asyncio.CancelledError):
        run(net, REMOTE, until=four_have_begun)
    assert len(net.asked) == 4
