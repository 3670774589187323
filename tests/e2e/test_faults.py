"""A small version of benchmarks/faults.py: the same processes, the same kills, the same checks."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_few_jobs_survive_random_kills_of_every_process() -> None:
    options = ["--jobs=3", "--runs=1", "--recoveries=0", "--workers=1", "--mean-pause=2", "--max-kills=8", "--seed=1"]
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.faults", *options], cwd=ROOT, capture_output=True, text=True, timeout=400
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    assert "Killed with SIGKILL" in ran.stdout
