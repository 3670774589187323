"""The memory that training keeps from one step to the next."""

import ctypes
import subprocess
import sys

import pytest

KEPT = """
import resource, torch
from app.devices import keep_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.ones(1 << 24)  # 64 MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

fresh = faults()
keep_memory()
settled = min(faults() for _ in range(4))  # the heap grows at first
assert settled < fresh / 4, (settled, fresh)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the allocator is not glibc's")
def test_kept_memory_is_not_faulted_in_again():
    # In a process of its own: what it sets holds for the whole process.
    subprocess.run([sys.executable, "-c", KEPT], check=True)
