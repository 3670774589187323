"""Where and in what precision models run, and what to do about memory."""

import ctypes
import gc
import re
from contextlib import suppress
from typing import NamedTuple

import torch

from app.errors import InvalidValue
from app.system.cpus import cpu_count

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_FEW = 4  # processors
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def resolve_device(name: str) -> torch.device:
    """`auto` (the first GPU, else the CPU), `cpu`, `cuda` or `cuda:N`. Raises InvalidValue if it is not there."""
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
        found = f"this machine has {count} CUDA device(s)" if count else "no CUDA device is usable here"
        raise InvalidValue(f"device {name!r} is not available: {found}", param="device")
    return torch.device("cuda", index)


def resolve_dtype(name: str, device: torch.device) -> torch.dtype:
    """`float32`, `bfloat16`, or `auto`: bfloat16 where the hardware computes in it, else float32."""
    if name == "auto":
        return torch.bfloat16 if _has_bfloat16(device) else torch.float32
    if name not in _DTYPES:
        raise InvalidValue(f"unknown dtype {name!r}; use auto, float32 or bfloat16", param="dtype")
    return _DTYPES[name]


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def batch_tokens(device: torch.device) -> int:
    """Tokens of a batch unless the operator says otherwise.

    Beyond 4,096 a CPU's caches no longer hold what a layer hands on: in padded batches of 8,192 tokens
    all-MiniLM-L6-v2 took 1.4 times as long a text, and everyone waits longer for the batch before theirs.
    """
    return 4096 if device.type == "cpu" else 16384


class Forwards(NamedTuple):
    """How a server shares its processors out."""

    at_once: int
    threads: int  # of each
    alone: int  # threads of one that none runs beside


def serving_forwards(device: torch.device, at_once: int | None = None, threads: int | None = None) -> Forwards:
    """As set, else on up to 4 processors a forward of one thread on each, and beyond them one on all but one.

    A thread per processor looks faster but is not as soon as anything else runs (HTTP, say), because each
    parallel region then waits for the thread that was pushed aside: on two busy cores a forward of 16 tokens
    through 6 layers took 12 ms with one thread and 91 ms with two, and one of 16 × 128 tokens 358 ms and
    1120 ms. Forwards of one thread wait for nobody. One that is alone has nobody to wait for either, and gets all
    processors, unless `threads` is set. A GPU has one at a time.
    """
    count = cpu_count()
    if device.type != "cpu":
        at_once = 1
    if at_once is None:
        at_once = 1 if threads is not None or count > _FEW else count
    shared = count - 1 if at_once == 1 else count
    share = threads or max(1, shared // at_once)
    return Forwards(at_once, share, alone=share if threads or at_once == 1 else count)


def is_out_of_memory(error: BaseException) -> bool:
    """Torch has its own class for a GPU; the CPU allocator and some kernels raise a plain RuntimeError."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    message = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in message or "can't allocate memory" in message)


def keep_memory() -> None:
    """From now on the process's allocator keeps what is freed, for what is allocated next; `free_memory` hands it back.

    By default glibc takes every large block anew from the kernel and gives it back at once, so that each
    step or forward pays for its activations in page faults: a quarter of a training step on a CPU.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc only
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def free_memory(device: torch.device) -> None:
    """Hands what is no longer used back to the device and the system, not only to the allocators."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
    if trim is not None:
        trim(0)


def gpu_metrics(device: torch.device) -> dict[str, float]:
    """How busy a GPU is, under MLflow's names; its memory alone where NVIDIA's own library is not installed."""
    if device.type != "cuda":
        return {}
    name = f"gpu_{torch.cuda.current_device() if device.index is None else device.index}"
    free, total = torch.cuda.mem_get_info(device)
    found = {
        f"{name}_memory_usage_megabytes": (total - free) / 1e6,
        f"{name}_memory_usage_percentage": 100 * (total - free) / total,
    }
    with suppress(ModuleNotFoundError):  # nvidia-ml-py
        found[f"{name}_utilization_percentage"] = float(torch.cuda.utilization(device))
    return found
