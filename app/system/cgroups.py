"""Limits and counters of the control group that this process belongs to (cgroups(7))."""

from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")  # lines of `id:controllers:path`


def read_cpu_quota(root: Path = _CGROUPS) -> float | None:
    """Processors that the group may use, in fractions; None without a limit."""
    file = root / "cpu.max"
    quota, _, period = (file.read_text() if file.is_file() else "max").partition(" ")
    return None if quota.strip() == "max" else int(quota) / int(period)


def read_memory_limit(root: Path = _CGROUPS) -> int | None:
    """Bytes that the group may use; None without a limit."""
    file = root / "memory.max"
    text = file.read_text().strip() if file.is_file() else "max"
    return None if text == "max" else int(text)


def count_oom_kills(membership: Path = _MEMBERSHIP, root: Path = _CGROUPS) -> int | None:
    """Processes of the group that the kernel has killed because memory ran out; None where the kernel does not say.

    `oom_kill` of memory.events (cgroup v2) or of memory.oom_control (v1, since Linux 4.13).
    """
    try:
        lines = [line.split(":", 2) for line in membership.read_text().splitlines()]
        for _, controllers, path in sorted(lines, reverse=True):  # v2, whose id is 0, comes last
            if controllers == "":
                folder, name = root, "memory.events"
            elif "memory" in controllers.split(","):
                folder, name = root / "memory", "memory.oom_control"
            else:
                continue
            # A container sees its own group as the root, whatever path its membership names.
            for file in (folder / path.lstrip("/") / name, folder / name):
                if file.is_file() and (found := _read_counter(file)) is not None:
                    return found
    except (OSError, ValueError):
        return None
    return None


def _read_counter(file: Path) -> int | None:
    fields = dict(line.split(" ", 1) for line in file.read_text().splitlines())
    return int(fields["oom_kill"]) if "oom_kill" in fields else None
