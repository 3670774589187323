"""Files that a request names by their address."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from app.errors import AppError, TooLarge
from app.media.fetch import fetch
from app.system.concurrency import gather_or_cancel

_AT_ONCE = 4  # addresses of one request
_THREADS = 8  # of all requests together
_FILES = 4  # times the size of one file is the limit of all files of a request

T = TypeVar("T")


@dataclass(frozen=True)
class RemoteMedia:
    """A file that the request names by its address only."""

    url: str


class MediaFetcher:
    """Downloads files for requests, on threads of its own.

    allowed_hosts: hosts that files may come from. max_bytes: limit of one file. timeout: seconds for one file.
    download: reads one address; a test passes its own.
    """

    def __init__(
        self,
        allowed_hosts: Sequence[str] = (),
        *,
        max_bytes: int,
        timeout: float,
        download: Callable[..., bytes] = fetch,
    ) -> None:
        self._max_bytes = max_bytes
        self._download = partial(download, allowed_hosts=allowed_hosts, max_bytes=max_bytes, timeout=timeout)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="fetch")

    def close(self) -> None:
        """Begins no other download. Those under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def fetch_all(self, inputs: Sequence[T | RemoteMedia]) -> Sequence[T | bytes]:
        """Returns the inputs with every address replaced by its content.

        A few files are downloaded at once. The first error ends all downloads of the call, and so does its
        cancellation. Raises what `fetch` raises, and TooLarge.
        """
        remote = [(index, each.url) for index, each in enumerate(inputs) if isinstance(each, RemoteMedia)]
        if not remote:
            return inputs  # type: ignore[return-value]  # none of them is remote
        contents: dict[int, bytes] = {}
        waiting = iter(remote)

        async def work() -> None:
            for index, url in waiting:
                try:
                    contents[index] = await self._content(url)
                except AppError as error:
                    error.index = index if len(inputs) > 1 else None
                    raise
                self._check_total(sum(map(len, contents.values())))

        await gather_or_cancel(work() for _ in range(_AT_ONCE))
        return [contents[i] if isinstance(each, RemoteMedia) else each for i, each in enumerate(inputs)]

    def _check_total(self, size: int) -> None:
        if size > (most := _FILES * self._max_bytes):
            raise TooLarge(f"the addresses of one request may have {most} bytes in all", param="input")

    async def _content(self, url: str) -> bytes:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._download, url)
        except AppError as error:
            error.param = "input"
            raise
