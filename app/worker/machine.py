"""Facts about this machine from Linux's /proc and CUDA's driver: its resources, its id, its living processes."""

import ctypes
import importlib.metadata
import os
from pathlib import Path

from app.jobs.workers import Capabilities

_GIB = 1024**3

_STATE, _STARTTIME = 0, 19  # fields of /proc/PID/stat, counted after the command's name (proc(5))


def machine_id() -> str:
    """Equal for processes that see one another's pids: one boot of a kernel, one pid namespace."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"


def birth(pid: int) -> str | None:
    """When a process began, in ticks since boot; None once it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[_STATE] in "ZX" else fields[_STARTTIME]


def capabilities(device: str, threads: int) -> Capabilities:
    """Returns the resources for jobs on this machine; `device` is CLOZE_DEVICE. Loads no torch, which takes seconds."""
    gpus = [] if device == "cpu" else _gpu_memories()
    devices = {"auto": ("cuda", "cpu") if gpus else ("cpu",), "cpu": ("cpu",)}.get(device, ("cuda",))
    index = int(device.partition(":")[2] or 0)
    return Capabilities(
        devices=devices,
        memory_gb=round(_memory() / _GIB, 1),
        gpu_memory_gb=round(gpus[index] / _GIB, 1) if "cuda" in devices and index < len(gpus) else None,
        threads=threads,
    )


def _memory() -> int:
    """Bytes that this process may use: the machine's, or its container's limit if that is lower."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.exists() else "max"
    return machine if text == "max" else min(machine, int(text))


def _gpu_memories() -> list[int]:
    """Bytes of each GPU that CUDA's driver shows to this process; none where torch could not use them."""
    if importlib.metadata.version("torch").endswith("+cpu"):
        return []
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return []
    count, found = ctypes.c_int(), []
    if cuda.cuInit(0) != 0 or cuda.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return []
    for index in range(count.value):
        device, size = ctypes.c_int(), ctypes.c_size_t()
        if cuda.cuDeviceGet(ctypes.byref(device), index) == 0:
            cuda.cuDeviceTotalMem_v2(ctypes.byref(size), device)
            found.append(size.value)
    return found
