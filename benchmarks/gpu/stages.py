"""The stages of a GPU session: processes of their own, each within its share of the time."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_GRACE = 5.0  # seconds between asking a stage to end and killing it


@dataclass(frozen=True)
class Stage:
    """command: of the process. Its last line of output may be a JSON object, which is its result.

    seconds: at most; None for all that is left. reserve: seconds that it leaves to what comes after.
    """

    name: str
    command: Sequence[str]
    seconds: float | None
    reserve: float = 0.0


@dataclass
class Outcome:
    """How a stage ended: `passed`, `failed`, `out of time` or `left out`."""

    name: str
    end: str
    seconds: float = 0.0
    output: str = ""
    result: dict[str, Any] = field(default_factory=dict)


def run_stages(
    stages: Sequence[Stage], seconds: float, log: Path, clock: Callable[[], float] = time.monotonic
) -> list[Outcome]:
    """Runs the stages one after another within `seconds` in all, whatever becomes of one of them.

    A stage has `CLOZE_GPU_SECONDS` in its environment: the seconds after which it is stopped.
    """
    end = clock() + seconds
    outcomes = []
    for stage in stages:
        left = end - clock() - stage.reserve
        given = left if stage.seconds is None else min(stage.seconds, left)
        outcomes.append(_run(stage, given, log, clock) if given > 1 else Outcome(stage.name, "left out"))
        print(f"{stage.name}: {outcomes[-1].end} after {outcomes[-1].seconds:.0f} s", flush=True)
    return outcomes


def _run(stage: Stage, seconds: float, log: Path, clock: Callable[[], float]) -> Outcome:
    began = clock()
    process = subprocess.Popen(
        stage.command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=os.environ | {"CLOZE_GPU_SECONDS": f"{seconds:.0f}"},
    )
    try:
        output, _ = process.communicate(timeout=seconds)
        end = "passed" if process.returncode == 0 else "failed"
    except subprocess.TimeoutExpired:
        output, end = _stop(process), "out of time"
    with log.open("a", encoding="utf-8") as file:
        file.write(f"=== {stage.name}: {end}\n{output}\n")
    return Outcome(stage.name, end, clock() - began, output, _read_result(output))


def _stop(process: subprocess.Popen[str]) -> str:
    """Ends a stage and its children, and returns what it printed."""
    os.killpg(process.pid, signal.SIGINT)
    try:
        output, _ = process.communicate(timeout=_GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
    return output


def _read_result(output: str) -> dict[str, Any]:
    last = output.strip().rpartition("\n")[2]
    try:
        found = json.loads(last)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def python(module: str, *arguments: str) -> list[str]:
    """Returns the command of a module in this interpreter."""
    return [sys.executable, "-m", module, *arguments]
