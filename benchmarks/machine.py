"""What a benchmark ran on, and the processor's own limit for matrix products."""

import os
import platform
import time
from pathlib import Path

import torch

BF16_UNITS = {"amx_bf16": "AMX", "avx512_bf16": "AVX512-BF16"}


def describe(threads: int) -> str:
    """The processor and the versions, without any name of the host."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.partition(":")[2].strip() for line in lines if "model name" in line), platform.machine())
    capabilities = torch.cpu.get_capabilities()
    unit = next((unit for key, unit in BF16_UNITS.items() if capabilities.get(key)), "no unit for bfloat16")
    return (
        f"{len(os.sched_getaffinity(0))} cores of an {name} ({unit}), {threads} threads,"
        f" torch {torch.__version__.partition('+')[0]}, Python {platform.python_version()}"
    )


def matrix_limit(dtype: torch.dtype, size: int = 4096, seconds: float = 2.0) -> float:
    """Floating-point operations a second of the largest products, the best of several: the machine's limit here."""
    a, b = torch.randn(size, size, dtype=dtype), torch.randn(size, size, dtype=dtype)
    torch.mm(a, b)
    best, began = float("inf"), time.perf_counter()
    while time.perf_counter() - began < seconds:
        started = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best
