"""How busy the machine is that a job runs on, by Linux's /proc: metrics beside those of the training."""

import logging
import os
import time
from collections.abc import Callable, Mapping

from app.jobs.events import SYSTEM_PREFIX
from app.system.proc import read_memory, read_processor_ticks, read_resident_bytes

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
        self._processors = read_processor_ticks()
        self._own_seconds = _own_seconds()

    def sample(self) -> dict[str, float]:
        """Means since the last sample, and memory as it is now; nothing if that was under a second ago."""
        now = self._clock()
        elapsed = now - self._sampled_at
        if elapsed < _INTERVAL:
            return {}
        processors, own = read_processor_ticks(), _own_seconds()
        busy, total = (a - b for a, b in zip(processors, self._processors, strict=True))
        memory = read_memory()
        used = memory["MemTotal"] - memory["MemAvailable"]
        found = {
            "cpu_utilization_percentage": 100 * busy / max(total, 1),
            "system_memory_usage_megabytes": used / _MB,
            "system_memory_usage_percentage": 100 * used / memory["MemTotal"],
            # Of one processor: a job on two of them reaches 200.
            "process_cpu_utilization_percentage": 100 * (own - self._own_seconds) / elapsed,
            "process_memory_usage_megabytes": read_resident_bytes() / _MB,
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


def _own_seconds() -> float:
    times = os.times()
    return times.user + times.system
