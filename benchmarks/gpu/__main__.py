"""A GPU session in one command: python -m benchmarks.gpu --out FOLDER [--minutes 8.5] [--data FILE … --held-out FILE]

Runs the tests that need a GPU, measures serving and training beside their peers, and continues cloze-text for the
minutes that are left. FOLDER then has report.md, results.json, log.txt and the weights in parts of at most 15 MB, which
`python -m benchmarks.gpu.parts FOLDER TARGET` joins. A stage that fails or runs out of time does not stop the others.

`--device cpu --tiny` tries all of it on a machine without a GPU.
"""

import argparse
import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.gpu.stages import Outcome, Stage, python, run_stages

_SAVING = 5.0  # seconds for the report


def make_stages(options: argparse.Namespace) -> list[Stage]:
    device, store = options.device, str(options.store)
    shared = {"device": device, "store": store}
    tiny = options.tiny
    serving = shared | {"texts": 64 if tiny else 2048, "seconds": 1.0 if tiny else 5.0}
    training = shared | {"steps": 3 if tiny else 60, "batch_tokens": 512 if tiny else 65536}
    pretraining = shared | {
        "out": str(options.out),
        "files": [str(path) for path in options.data],
        "held_out": str(options.held_out) if options.held_out else None,
        "batch_tokens": 512 if tiny else 65536,
    }
    chosen = ["-k", "bert or cpu"] if tiny else []
    tests = python("pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider", *chosen, "tests/gpu")
    if device == "cpu":
        tests = ["env", "GPU_TESTS_DEVICE=cpu", *tests]
    rest = 60.0 if tiny else 100.0  # seconds that pretraining has at least, whatever the stages before it do
    return [
        Stage("tests", tests, 120, reserve=rest),
        Stage("serving", python("benchmarks.gpu.serving", json.dumps(serving)), 90, reserve=rest),
        Stage("training", python("benchmarks.gpu.training", json.dumps(training)), 90, reserve=rest),
        Stage("pretraining", python("benchmarks.gpu.pretrain", json.dumps(pretraining)), None),
    ]


def write_report(outcomes: list[Outcome], machine: str, out: Path) -> None:
    lines = ["# GPU session", "", machine, ""]
    results: dict[str, Any] = {}
    for outcome in outcomes:
        lines += [f"## {outcome.name}", "", f"{outcome.end}, {outcome.seconds:.0f} s", ""]
        lines += [f"- {name}: {value}" for name, value in outcome.result.items()]
        if not outcome.result:
            lines += ["```", *outcome.output.strip().splitlines()[-12:], "```"]
        lines.append("")
        results[outcome.name] = {"end": outcome.end, "seconds": round(outcome.seconds, 1), **outcome.result}
    (out / "report.md").write_text("\n".join(lines), encoding="utf-8")
    (out / "results.json").write_text(json.dumps({"machine": machine, **results}, indent=2) + "\n", encoding="utf-8")


def describe_machine() -> str:
    """Names the processor or GPU and the versions. torch is imported in a process of its own: it takes seconds."""
    from benchmarks.report import machine

    return f"{machine()}, {platform.system()}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the report and the weights")
    parser.add_argument("--minutes", type=float, default=8.5, help="of the whole session")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="the smallest sizes, to try the command")
    parser.add_argument("--store", type=Path, default=Path("model_store"))
    parser.add_argument("--data", type=Path, nargs="*", default=[], help="texts; by default the few of the benchmarks")
    parser.add_argument("--held-out", type=Path)
    options = parser.parse_args()
    began = time.monotonic()
    options.out = options.out.resolve()
    options.out.mkdir(parents=True, exist_ok=True)
    machine = describe_machine()
    seconds = 60 * options.minutes - _SAVING - (time.monotonic() - began)
    outcomes = run_stages(make_stages(options), seconds, options.out / "log.txt")
    write_report(outcomes, machine, options.out)
    return int(any(outcome.end != "passed" for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
