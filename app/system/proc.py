"""Readers of Linux's /proc: this machine, this process and others (proc(5))."""

import os
from pathlib import Path

PROC = Path("/proc")
MEMINFO = PROC / "meminfo"

_STATE, _STARTTIME = 0, 19  # fields of /proc/PID/stat, counted after the command's name
_RESIDENT, _PRIVATE = 1, 5  # fields of /proc/PID/statm, in pages


def read_machine_id() -> str:
    """Equal for processes that see one another's process ids: one boot of a kernel, one pid namespace."""
    boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{(PROC / 'self/ns/pid').readlink()}"


def read_start_time(pid: int) -> str | None:
    """The time at which a process began, in ticks since boot; None once it has ended."""
    try:
        stat = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[_STATE] in "ZX" else fields[_STARTTIME]


def read_processor_ticks() -> tuple[int, int]:
    """(ticks in which processors were busy, all ticks) since boot, over all processors."""
    ticks = [int(field) for field in (PROC / "stat").read_text().splitlines()[0].split()[1:9]]
    idle, waiting = ticks[3], ticks[4]
    return sum(ticks) - idle - waiting, sum(ticks)


def read_memory(file: Path = MEMINFO) -> dict[str, int]:
    """The machine's memory in bytes, by the kernel's names, such as `MemTotal` and `MemAvailable`. Raises OSError."""
    lines = (line.split() for line in file.read_text().splitlines())
    return {line[0].rstrip(":"): int(line[1]) * 1024 for line in lines}


def read_resident_bytes() -> int:
    """Memory of this process; 0 where the system does not tell."""
    return _read_statm(_RESIDENT)


def read_private_bytes() -> int:
    """Private memory of this process, as RLIMIT_DATA counts it; 0 where the system does not tell."""
    return _read_statm(_PRIVATE)


def _read_statm(field: int) -> int:
    try:
        return int((PROC / "self/statm").read_text().split()[field]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
