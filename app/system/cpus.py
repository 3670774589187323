"""How many processors this process may use. A leaf."""

import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def cpu_count() -> int:
    """At least 1. A container's quota counts like its affinity."""
    allowed = len(os.sched_getaffinity(0))
    quota, _, period = (_QUOTA.read_text() if _QUOTA.is_file() else "max").partition(" ")
    if quota.strip() != "max":
        allowed = min(allowed, int(quota) // int(period))
    return max(1, allowed)
