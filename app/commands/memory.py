"""Gives memory that the process has freed back to the system.

The allocator of glibc keeps what lies between blocks that are still in use. After a few hundred large requests at
once that can be gigabytes, which nothing but `malloc_trim` gives back.
"""

import asyncio
import ctypes
import logging
from collections.abc import Callable

from app.system.proc import read_resident_bytes

_INTERVAL = 15.0  # seconds
_GROWTH = 64 * 2**20  # bytes above the last trimmed size from which trimming is worth its time

_log = logging.getLogger(__name__)


class MemoryTrimmer:
    """Trims whenever the process has grown since it last did."""

    def __init__(self, resident: Callable[[], int], trim: Callable[[], object], growth: int = _GROWTH) -> None:
        self._resident, self._trim, self._growth = resident, trim, growth
        self._smallest = resident()

    def step(self) -> None:
        """Blocks for up to some 100 ms, in which other threads run."""
        before = self._resident()
        if before - self._smallest < self._growth:
            return
        self._trim()
        self._smallest = self._resident()
        _log.debug("trimmed memory from %d to %d MiB", before >> 20, self._smallest >> 20)


async def trim_regularly() -> None:
    """Runs until it is cancelled. Returns at once where the C library has no `malloc_trim`."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return
    trimmer = MemoryTrimmer(read_resident_bytes, lambda: trim(ctypes.c_size_t(0)))
    while True:
        await asyncio.sleep(_INTERVAL)
        await asyncio.to_thread(trimmer.step)
