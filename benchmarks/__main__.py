"""`python -m benchmarks`, which is `make bench`: Cloze and its peers side by side, and RESULTS.md from it.

Sections run one after another; `--only serving` runs one of them. Peers are installed into environments of
their own under var/bench. `--quick` measures the cells that matter most, in minutes.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import report, sharing
from benchmarks.backends import run as backends
from benchmarks.options import Options
from benchmarks.pretraining import run as pretraining
from benchmarks.serving import run as serving

SECTIONS: dict[str, Callable[[Options], None]] = {
    "serving": serving.main,
    "pretraining": pretraining.main,
    "sharing": sharing.main,
    "backends": backends.main,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="the key cells only")
    parser.add_argument("--only", choices=sorted(SECTIONS), action="append", help="sections; all by default")
    parser.add_argument(
        "--threads",
        type=int,
        default=len(os.sched_getaffinity(0)),
        help="torch threads of each side, all cores by default; Cloze runs as many forwards of one thread each",
    )
    parser.add_argument("--data", type=Path, help="folder with text_eval/ and wiki_en/; unset: the small fixture")
    parser.add_argument("--rounds", type=int, default=2, help="times that everything takes its turn")
    parser.add_argument("--seconds", type=float, help="of each measurement")
    parser.add_argument("--task", choices=["embed", "fill"], action="append", help="serving: one task only")
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], action="append", help="serving: one dtype only")
    parser.add_argument("--each", type=int, choices=[1, 32], action="append", help="serving: texts a request")
    parser.add_argument("--systems", help="serving: only those whose name holds one of these, comma-separated")
    parser.add_argument("--var", type=Path, default=Path("var/bench"), help="environments, logs, stores")
    parser.add_argument("--results", type=Path, default=report.RESULTS)
    given = parser.parse_args()
    options = Options(
        quick=given.quick,
        threads=given.threads,
        data=given.data,
        rounds=given.rounds,
        seconds=given.seconds or (5.0 if given.quick else 8.0),
        tasks=tuple(given.task or ("embed", "fill")),
        dtypes=tuple(given.dtype or ("bfloat16", "float32")),
        each=tuple(given.each or (1, 32)),
        only=tuple(given.only or ()),
        systems=tuple(each.strip().lower() for each in (given.systems or "").split(",") if each.strip()),
        var=given.var.resolve(),
        results=given.results,
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # unwinds, so that no server stays behind
    for name in given.only or SECTIONS:
        SECTIONS[name](options)


if __name__ == "__main__":
    main()
