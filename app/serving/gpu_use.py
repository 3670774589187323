"""The memory and utilization of the GPUs that models are served on."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class GpuUse:
    """The use of a GPU by all processes. utilization: share of the time with a running kernel; None if not known."""

    name: str
    memory_bytes: int
    used_bytes: int
    utilization: float | None = None


def measure_gpus(devices: Iterable[str]) -> list[GpuUse]:
    """Measures each GPU among the devices once. Utilization needs nvidia-ml-py."""
    found = {}
    for device in map(torch.device, devices):
        if device.type == "cuda":
            free, total = torch.cuda.mem_get_info(device)
            utilization = None
            with suppress(ModuleNotFoundError):  # without nvidia-ml-py
                utilization = torch.cuda.utilization(device) / 100
            found[str(device)] = GpuUse(str(device), total, total - free, utilization)
    return list(found.values())
