"""The number of processors that this process may use."""

import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def cpu_count() -> int:
    """Returns the number of usable processors, at least 1, within the CPU affinity and the container's quota."""
    allowed = len(os.sched_getaffinity(0))
    quota, _, period = (_QUOTA.read_text() if _QUOTA.is_file() else "max").partition(" ")
    if quota.strip() != "max":
        allowed = min(allowed, int(quota) // int(period))
    return max(1, allowed)
