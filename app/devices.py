"""Devices, precisions, threads and memory of models."""

import ctypes
import gc
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import torch

from app.errors import InvalidValue
from app.system.cpus import cpu_count

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_FEW_PROCESSORS = 4
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # from glibc's malloc.h


def resolve_device(name: str) -> torch.device:
    """Resolves `auto` (the first GPU, else the CPU), `cpu`, `cuda` or `cuda:N`.

    Raises InvalidValue for an unknown or unavailable device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    match = re.fullmatch(r"cpu|cuda(?::(\d+))?", name)
    if match is None:
        raise InvalidValue(f"unknown device {name!r}; use auto, cpu, cuda or cuda:N", param="device")
    if name == "cpu":
        return torch.device("cpu")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    index = int(match.group(1) or 0)
    if index >= count:
        found = f"this machine has {count} CUDA device(s)" if count else "this machine has no usable CUDA device"
        raise InvalidValue(f"device {name!r} is not available: {found}", param="device")
    return torch.device("cuda", index)


def resolve_devices(names: Sequence[str]) -> list[torch.device]:
    """Resolves the devices that serve together: different GPUs, or `cpu` once or several times.

    Raises InvalidValue for an unknown or unavailable device, a GPU that is named twice, and devices of two kinds.
    """
    devices = [resolve_device(name) for name in names]
    for name, device in zip(names, devices, strict=True):
        if device.type != devices[0].type:
            raise InvalidValue(
                f"device {name!r} is not of the kind of {names[0]!r}; models are served by GPUs or by the CPU",
                param="device",
            )
        if device.type != "cpu" and devices.count(device) > 1:
            raise InvalidValue(f"device {name!r} is named more than once", param="device")
    return devices


def name_devices(devices: Sequence[torch.device]) -> list[str]:
    """Returns a name for each device. Several devices that are the CPU are numbered."""
    if len(devices) > 1 and devices[0].type == "cpu":
        return [f"cpu:{number}" for number in range(len(devices))]
    return [str(device) for device in devices]


def resolve_dtype(name: str, *devices: torch.device) -> torch.dtype:
    """Resolves `float32`, `bfloat16` or `auto`: bfloat16 if the hardware of all devices supports it, else float32.

    Raises InvalidValue for an unknown dtype.
    """
    if name == "auto":
        return torch.bfloat16 if all(map(_has_bfloat16, devices)) else torch.float32
    if name not in _DTYPES:
        raise InvalidValue(f"unknown dtype {name!r}; use auto, float32 or bfloat16", param="dtype")
    return _DTYPES[name]


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def batch_tokens(device: torch.device) -> int:
    """Returns the default token budget of a batch.

    Beyond 4,096 tokens a layer's output no longer fits into a CPU's caches: in padded batches of 8,192 tokens,
    all-MiniLM-L6-v2 took 1.4 times as long per text, and requests wait longer for the batch before theirs.
    """
    return 4096 if device.type == "cpu" else 16384


class Forwards(NamedTuple):
    """The number of forwards that run at once, and their intra-op threads."""

    at_once: int
    threads: int  # of each forward
    alone: int  # of a forward while no other runs


def serving_forwards(
    device: torch.device, at_once: int | None = None, threads: int | None = None, *, sharing: int = 1
) -> Forwards:
    """Chooses how many forwards run at once and how many threads each has.

    sharing: devices that share the processors.

    By default, up to 4 processors run one single-threaded forward each. More processors run one forward, on all
    processors but one. A GPU runs one forward at a time.

    A forward with a thread per processor slows down as soon as anything else runs, such as HTTP, because each parallel
    region waits for the thread that was preempted. On two busy cores, a forward of 16 tokens through 6 layers took
    12 ms with one thread and 91 ms with two; one of 16 × 128 tokens took 358 ms and 1120 ms. A single-threaded forward
    has no such wait. While only one forward runs, it gets all processors, unless `threads` is set.
    """
    count = max(1, cpu_count() // sharing)
    if device.type != "cpu":
        at_once = 1
    if at_once is None:
        at_once = 1 if threads is not None or count > _FEW_PROCESSORS else count
    shared = count - 1 if at_once == 1 else count
    share = threads or max(1, shared // at_once)
    return Forwards(at_once, share, alone=share if threads or at_once == 1 else count)


def is_out_of_memory(error: BaseException) -> bool:
    """Tells whether an error means out of memory. The CPU allocator and some kernels raise a plain RuntimeError."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    message = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in message or "can't allocate memory" in message)


def keep_memory() -> None:
    """Makes the process's allocator keep freed memory for later allocations. `free_memory` returns it to the system.

    By default glibc maps each large block and unmaps it at once, so that every forward pays page faults for its
    activations: a quarter of a training step on a CPU.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc only
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def free_memory(device: torch.device) -> None:
    """Returns unused memory to the device and the system, not only to the allocators."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
    if trim is not None:
        trim(0)


def gpu_metrics(device: torch.device) -> dict[str, float]:
    """Measures the memory and utilization of a GPU, under MLflow's names. Utilization needs nvidia-ml-py."""
    if device.type != "cuda":
        return {}
    name = f"gpu_{torch.cuda.current_device() if device.index is None else device.index}"
    free, total = torch.cuda.mem_get_info(device)
    found = {
        f"{name}_memory_usage_megabytes": (total - free) / 1e6,
        f"{name}_memory_usage_percentage": 100 * (total - free) / total,
    }
    with suppress(ModuleNotFoundError):  # without nvidia-ml-py
        found[f"{name}_utilization_percentage"] = float(torch.cuda.utilization(device))
    return found
