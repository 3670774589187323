"""A small version of benchmarks/faults.py: the same processes, the same kills, the same checks."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_few_jobs_survive_random_kills_of_every_process(warm_processes: dict[str, str]) -> None:
    # With this seed the first four kills are one of each process.
    options = ["--jobs=2", "--runs=1", "--recoveries=0", "--workers=1", "--mean-pause=2", "--max-kills=4", "--seed=22"]
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.faults", *options],
        cwd=ROOT,
        env=os.environ | warm_processes | {"CLOZE_CRASH_BACKOFF_SECONDS": "0"},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    assert "Killed with SIGKILL" in ran.stdout
