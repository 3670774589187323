"""The number of processors that this process may use."""

import os

from app.system.cgroups import read_cpu_quota


def cpu_count() -> int:
    """Returns the number of usable processors, at least 1, within the CPU affinity and the container's quota."""
    return count_usable(len(os.sched_getaffinity(0)), read_cpu_quota())


def count_usable(allowed: int, quota: float | None) -> int:
    """allowed: processors of the affinity. quota: of the control group; None without one."""
    return max(1, allowed if quota is None else min(allowed, int(quota)))
