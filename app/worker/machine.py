"""The resources that this machine offers to jobs: memory, GPUs by CUDA's driver, threads."""

import ctypes
import importlib.metadata
import os
from pathlib import Path
from typing import Literal

from app.jobs.workers import Capabilities, MachineUse
from app.system.cgroups import read_memory_limit
from app.system.disk_space import disk_usage
from app.system.proc import read_memory

_GIB = 1024**3


def capabilities(device: str, threads: int, trainer: Literal["local", "ray"] = "local") -> Capabilities:
    """Returns the resources for jobs on this machine; `device` is CLOZE_DEVICE. Loads no torch, which takes seconds."""
    gpus = [] if device == "cpu" else _gpu_memories()
    devices = {"auto": ("cuda", "cpu") if gpus else ("cpu",), "cpu": ("cpu",)}.get(device, ("cuda",))
    index = int(device.partition(":")[2] or 0)
    return Capabilities(
        devices=devices,
        memory_gb=round(_memory() / _GIB, 1),
        gpu_memory_gb=round(gpus[index] / _GIB, 1) if "cuda" in devices and index < len(gpus) else None,
        threads=threads,
        trainer=trainer,
    )


def measure_use(folder: Path) -> MachineUse | None:
    """Measures the machine's memory and the disk of `folder`; None where the system does not tell."""
    try:
        memory, disk = read_memory(), disk_usage(folder.absolute())
    except (OSError, KeyError):
        return None
    return MachineUse(
        memory_bytes=memory["MemTotal"],
        memory_available_bytes=memory["MemAvailable"],
        disk_bytes=disk.total,
        disk_free_bytes=disk.free,
    )


def _memory() -> int:
    """Bytes that this process may use: the machine's, or its container's limit if that is lower."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = read_memory_limit()
    return machine if limit is None else min(machine, limit)


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
