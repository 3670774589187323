"""Small valid data sets of every accepted format, damaged thousands of times each, are read or refused.

Right: every file gives its documents or members, or one InvalidData or TooLarge that names it. Any other
exception is a fault; no read takes long, and memory does not grow.

    python -m benchmarks.adversary.fuzz_datasets [MUTATIONS] [PART_OF_A_NAME]
"""

import random
import re
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import pyarrow as pa

from tests.fakes.datasets import mutate, read, samples

ODD = re.compile(
    r"NoneType|\btuple\b|\bdict\b|\blist index|<_io|object at 0x|\bb'|Traceback|codec can't|not enough values"
)


def memory() -> int:
    """Resident MiB of this process, at its peak."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) // 1024
    return 0


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    wanted = sys.argv[2] if len(sys.argv) > 2 else ""
    faults, odd, total = Counter[str](), Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "content"
        for name, data, is_media in samples():
            if wanted not in name:
                continue
            rng, outcomes, slowest = random.Random(name), Counter[str](), 0.0
            for _ in range(count):
                damaged = mutate(data, rng)
                path.write_bytes(damaged)
                started = time.perf_counter()
                try:
                    refusal = read(path, name, is_media)
                    outcomes["refused" if refusal else "read"] += 1
                    if ODD.search(refusal):
                        odd[refusal[:160]] += 1
                except Exception as e:
                    outcomes["failed"] += 1
                    where = traceback.extract_tb(e.__traceback__)[-1]
                    faults[f"{name}: {type(e).__name__}: {e} ({where.filename}:{where.lineno})"[:300]] += 1
                slowest = max(slowest, time.perf_counter() - started)
            total += outcomes
            counts = ", ".join(f"{outcomes[kind]:5} {kind}" for kind in ("read", "refused", "failed"))
            print(f"{name:20} {len(data):6} bytes  {counts}; slowest {slowest * 1000:5.0f} ms", flush=True)
    left = pa.total_allocated_bytes()
    print(f"{sum(total.values()):,} files: {dict(total)}; {memory()} MiB at the peak, {left} bytes left in Arrow")
    for kind, found in (("fault", faults), ("odd message", odd)):
        for message, times in found.most_common(20):
            print(f"{kind} × {times}: {message}")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
