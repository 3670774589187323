"""Whether the kernel's out-of-memory killer has been at work: the counter of this process's control group."""

from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")  # lines of `id:controllers:path`, cgroups(7)


def oom_kills(membership: Path = _MEMBERSHIP, root: Path = _CGROUPS) -> int | None:
    """Processes of the group that were killed so far; None where the kernel does not say.

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
                if file.is_file() and (found := _counter(file)) is not None:
                    return found
    except (OSError, ValueError):
        return None
    return None


def _counter(file: Path) -> int | None:
    fields = dict(line.split(" ", 1) for line in file.read_text().splitlines())
    return int(fields["oom_kill"]) if "oom_kill" in fields else None
