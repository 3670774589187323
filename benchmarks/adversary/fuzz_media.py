"""Mutated media files of every accepted format: none may crash, hang, grow or raise another error than 4xx ones.

Each batch is decoded in a child process of its own, so that a crash is seen. Right are two outcomes only: decoded
and refused (InvalidData or TooLarge, in words that name no object of Python). A crash, a hang (more than 20 seconds
without a result), another exception and growing memory are faults; the file of each is kept in the folder that is
printed. Run it as `python -m benchmarks.adversary.fuzz_media [mutations a format] [format ...]`.
"""

import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from select import select

import numpy as np

from app.errors import InvalidData, TooLarge
from app.media.audio import decode_audio
from app.media.images import decode_image
from app.media.limits import Limits
from app.media.sniff import sniff
from app.media.video import open_video
from app.types import ModalityName

FIXTURES = Path(__file__).parents[2] / "tests" / "fixtures"
BATCH, HANG_SECONDS = 250, 20.0
WARM, GROWTH = 100, 64 * 2**20  # files after which memory counts, and bytes that it may grow by then
MEMORY = 4 * 2**30
LIMITS = Limits(max_image_pixels=4_000_000, max_video_pixels=1_000_000, max_clip_bytes=64 * 2**20)
PYTHON = re.compile(r"object at|0x[0-9a-f]{4}|NoneType|<class|Traceback")
NUMBERS = [bytes(4), b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\1", b"\1\0\0\0"]


def formats() -> dict[str, list[bytes]]:
    """The fixtures by the kind of their content."""
    found: dict[str, list[bytes]] = {}
    for path in sorted(FIXTURES.iterdir()):
        data = path.read_bytes()
        kind = sniff(data) if path.suffix != ".py" else None
        if kind and kind.modality:
            found.setdefault(kind.name, []).append(data)
    return found


def mutate(data: bytes, generator: np.random.Generator) -> bytes:
    """The data with one to three changes: of bits, bytes or numbers, parts left out, doubled, moved or cut off."""
    out = bytearray(data)
    for _ in range(generator.integers(1, 4)):
        # Headers, where a change does most, are at the beginning or at the end.
        span = len(out) if generator.random() < 0.5 else min(len(out), 256)
        at = (
            int(generator.integers(span))
            if generator.random() < 0.8
            else max(0, len(out) - 1 - int(generator.integers(span)))
        )
        size = int(generator.integers(1, 64))
        match generator.integers(7):
            case 0:
                out[at] ^= 1 << int(generator.integers(8))
            case 1:
                out[at : at + size] = generator.bytes(size)
            case 2:
                number = NUMBERS[generator.integers(len(NUMBERS))]
                out[at : at + len(number)] = number
            case 3:
                del out[at : at + size]
            case 4:
                out[at:at] = out[at : at + size]
            case 5:
                other = int(generator.integers(len(out)))
                out[at : at + size] = out[other : other + size]
            case _:
                del out[max(16, at) :]
        if len(out) < 16:
            return data[:16]
    return bytes(out)


def decode(data: bytes) -> None:
    """Decodes as a request does, by what the bytes are."""
    kind = sniff(data)
    match kind.modality if kind else None:
        case ModalityName.AUDIO:
            decode_audio(data, sample_rate=16000, limits=LIMITS)
        case ModalityName.VIDEO:
            with open_video(data, limits=LIMITS) as video:
                last = len(video.times) - 1
                video.read([0, last // 2, last], short_side=32)
        case _:
            decode_image(data, limits=LIMITS)


def outcome(data: bytes) -> str:
    """One of: decoded, refused, a fault in words."""
    try:
        decode(data)
    except (InvalidData, TooLarge) as e:
        return f"unclear message: {e.message}" if PYTHON.search(e.message) else "refused"
    except Exception as e:
        return f"other exception: {type(e).__name__}: {e}"
    return "decoded"


def run_batch(name: str, start: int, count: int) -> None:
    """In the child: prints a line of JSON for each mutation."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    originals = formats()[name]
    before = 0
    for number in range(count):
        generator = np.random.default_rng([start + number])
        data = mutate(originals[generator.integers(len(originals))], generator)
        print(json.dumps(outcome(data)), flush=True)
        if number == WARM:
            before = resident()
    if before and resident() - before > GROWTH:
        print(json.dumps(f"growth: {(resident() - before) >> 20} MiB"), flush=True)


def resident() -> int:
    """Bytes of memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def watch(name: str, start: int, count: int) -> list[str]:
    """In the parent: the outcomes of a batch. After a crash or a hang, the rest goes to a new child."""
    outcomes: list[str] = []
    while (done := len(outcomes)) < count:
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.adversary.fuzz_media"]
        part = [*command, "batch", name, str(start + done), str(count - done)]
        with subprocess.Popen(part, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
            assert child.stdout is not None
            fault = "crashed"
            while True:
                if not select([child.stdout], [], [], HANG_SECONDS + (10 if len(outcomes) == done else 0))[0]:
                    child.kill()
                    fault = "hung"
                    break
                if not (line := child.stdout.readline()):
                    break
                outcomes.append(json.loads(line))
        if len(outcomes) < count:
            outcomes.append(f"{fault} ({child.returncode})")
    return outcomes


def main(count: int, names: list[str]) -> None:
    folder = Path(tempfile.mkdtemp(prefix="cloze-fuzz-"))
    originals = formats()
    total: Counter[str] = Counter()
    for name in names or list(originals):
        started = time.monotonic()
        counts: Counter[str] = Counter()
        for start in range(0, count, BATCH):
            for number, result in enumerate(watch(name, start, min(BATCH, count - start))):
                counts[result.split(":")[0].split(" (")[0]] += 1
                if result not in ("decoded", "refused"):
                    keep(folder, originals[name], name, start + number, result)
        total += counts
        summary = ", ".join(f"{key} {value}" for key, value in sorted(counts.items()))
        print(f"{name:14} {count} mutations: {summary}; {time.monotonic() - started:.0f} s", flush=True)
    print(f"all: {dict(total)}; files of faults in {folder}")


def keep(folder: Path, originals: list[bytes], name: str, number: int, result: str) -> None:
    """Writes a file that showed a fault, and says so."""
    generator = np.random.default_rng([number])
    data = mutate(originals[generator.integers(len(originals))], generator)
    path = folder / f"{name.replace(' ', '-')}-{number}"
    path.write_bytes(data)
    print(f"  {path}: {result}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["batch"]:
        run_batch(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 2000, sys.argv[2:])
