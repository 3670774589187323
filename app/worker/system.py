"""How busy the machine is that a job runs on, by Linux's /proc: metrics beside those of the training."""

import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from app.jobs.events import SYSTEM_PREFIX

_INTERVAL = 1.0  # seconds; over less, a share of processor time says nothing
_MB = 1e6

_log = logging.getLogger(__name__)


class SystemMetrics:
    """gpu: what to add for a GPU; names are MLflow's where it has any, so that its page knows them."""

    def __init__(
        self, gpu: Callable[[], Mapping[str, float]] | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._gpu = gpu
        self._clock = clock
        self._sampled_at = clock()
        self._processors = _processor_ticks()
        self._own_seconds = _own_seconds()

    def sample(self) -> dict[str, float]:
        """Means since the last sample, and memory as it is now; nothing if that was under a second ago."""
        now = self._clock()
        elapsed = now - self._sampled_at
        if elapsed < _INTERVAL:
            return {}
        processors, own = _processor_ticks(), _own_seconds()
        busy, total = (a - b for a, b in zip(processors, self._processors, strict=True))
        memory = _memory_bytes()
        used = memory["MemTotal"] - memory["MemAvailable"]
        found = {
            "cpu_utilization_percentage": 100 * busy / max(total, 1),
            "system_memory_usage_megabytes": used / _MB,
            "system_memory_usage_percentage": 100 * used / memory["MemTotal"],
            # Of one processor: a job on two of them reaches 200.
            "process_cpu_utilization_percentage": 100 * (own - self._own_seconds) / elapsed,
            "process_memory_usage_megabytes": _own_bytes() / _MB,
            **self._sample_gpu(),
        }
        self._sampled_at, self._processors, self._own_seconds = now, processors, own
        return {f"{SYSTEM_PREFIX}{name}": round(value, 2) for name, value in found.items()}

    def _sample_gpu(self) -> Mapping[str, float]:
        if self._gpu is None:
            return {}
        try:
            return self._gpu()
        except Exception:  # whatever a driver raises, it is no reason to end a job
            _log.warning("the GPU's metrics are left out from now on", exc_info=True)
            self._gpu = None
            return {}


def _processor_ticks() -> tuple[int, int]:
    """Ticks that all processors were busy, and all that have passed, since boot (proc(5))."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    idle, waiting = ticks[3], ticks[4]
    return sum(ticks) - idle - waiting, sum(ticks)


def _memory_bytes() -> dict[str, int]:
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return {line[0].rstrip(":"): int(line[1]) * 1024 for line in lines}


def _own_seconds() -> float:
    times = os.times()
    return times.user + times.system


def _own_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
