"""A balancer of connections before several servers, as a proxy does it: round-robin among those that are ready."""

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx

from tests.fakes.cloze import PATIENCE

_INTERVAL = 0.1  # seconds between two looks at the servers


class Balancer:
    """Each connection goes to the next server whose /ready answers 200."""

    def __init__(self) -> None:
        self.url = ""
        self._servers: list[str] = []
        self._ready: set[str] = set()
        self._turns = itertools.count()
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def add(self, url: str) -> None:
        """Adds a server and returns when it is ready."""
        self._servers.append(url)
        self._wait_until(url, ready=True)

    def wait_until_out(self, url: str) -> None:
        """Returns when a server gets no more connections."""
        self._wait_until(url, ready=False)

    @contextlib.contextmanager
    def running(self) -> Iterator["Balancer"]:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(PATIENCE)
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(PATIENCE)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(PATIENCE)

    def _wait_until(self, url: str, *, ready: bool) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: (url in self._ready) is ready, PATIENCE)

    async def _start(self) -> None:
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._checking = asyncio.create_task(self._check())

    async def _stop(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _check(self) -> None:
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            while True:
                for url in list(self._servers):
                    try:
                        ready = (await client.get(f"{url}/ready")).status_code == 200
                    except httpx.TransportError:
                        ready = False
                    with self._changed:
                        (self._ready.add if ready else self._ready.discard)(url)
                        self._changed.notify_all()
                await asyncio.sleep(_INTERVAL)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ready = sorted(self._ready)
        address = urlsplit(ready[next(self._turns) % len(ready)])
        there, back = await asyncio.open_connection(address.hostname, address.port)
        await asyncio.gather(_copy(reader, back), _copy(there, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()
