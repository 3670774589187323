"""Returns freed memory of the process to the system.

glibc's allocator keeps free memory between blocks in use. After a few hundred large requests at once this can be
gigabytes, and only `malloc_trim` returns it.
"""

import asyncio
import ctypes
import logging
from collections.abc import Callable

from app.system.proc import read_resident_bytes

_INTERVAL = 15.0  # seconds
_GROWTH = 64 * 2**20  # bytes of growth since the last trim that justify another one

_log = logging.getLogger(__name__)


class MemoryTrimmer:
    """Trims memory when the process has grown since the last trim."""

    def __init__(self, resident: Callable[[], int], trim: Callable[[], object], growth: int = _GROWTH) -> None:
        self._resident, self._trim, self._growth = resident, trim, growth
        self._smallest = resident()

    def step(self) -> None:
        """Trims if needed. Blocks for up to about 100 ms; other threads can run meanwhile."""
        before = self._resident()
        if before - self._smallest < self._growth:
            return
        self._trim()
        self._smallest = self._resident()
        _log.debug("trimmed memory from %d to %d MiB", before >> 20, self._smallest >> 20)


async def trim_regularly() -> None:
    """Trims at intervals until it is cancelled. Returns at once if the C library has no `malloc_trim`."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return
    trimmer = MemoryTrimmer(read_resident_bytes, lambda: trim(ctypes.c_size_t(0)))
    while True:
        await asyncio.sleep(_INTERVAL)
        await asyncio.to_thread(trimmer.step)
