"""Several real processes that train together, over gloo."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from app.training.hooks import Killed
from app.training.job import TrainingJob
from app.training.loop.distributed import ProcessGroup, check_parent, launch_group
from app.training.run import run
from tests.fakes.forks import FORKS
from tests.fakes.peers import accept, add, be_killed, fail, refuse
from tests.fakes.runs import Recorder, same, weights

OPTIONS = {"max_steps": 6, "checkpoint_interval": 3, "log_interval": 3}


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forks the further processes. Those that are spawned, as two tests below do, import torch for seconds."""
    monkeypatch.setattr("app.training.loop.distributed.multiprocessing.get_context", lambda method: FORKS)


@pytest.mark.usefixtures("forked")
def test_two_processes_equal_one(job: Callable[..., TrainingJob]) -> None:
    def two_processes(name: str) -> TrainingJob:
        return replace(job(name, processes=2, **OPTIONS), bind=accept)

    one, two = Recorder(), Recorder()
    alone = run(job("one", **OPTIONS), one)
    both = run(two_processes("two"), two)

    # Only the order of additions differs, by some 1e-7 of a value, which AdamW's division can enlarge.
    for key, value in weights(alone).items():
        np.testing.assert_allclose(value, weights(both)[key], atol=1e-4, err_msg=key)
    assert both.outcome.state.tokens == alone.outcome.state.tokens
    for name in ("train_loss", "eval_loss", "grad_norm"):
        assert two.series(name) == pytest.approx(one.series(name), rel=1e-4)

    with pytest.raises(KeyboardInterrupt):
        run(two_processes("killed"), Recorder(die_at=4))
    assert same(run(two_processes("killed"), Recorder()), both)


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize(("end", "seen", "code"), [(fail, RuntimeError, 7), (be_killed, Killed, -9)])
def test_a_process_that_ends_early_ends_the_run(
    tmp_path: Path, end: Callable[[ProcessGroup], None], seen: type[Exception], code: int
) -> None:
    def talk() -> None:
        with launch_group(2, tmp_path, end, accept) as group:
            while True:
                group.sum(1)

    with pytest.raises(seen, match=rf"ended early \(exit code by rank: \{{1: {code}\}}\)") as raised:
        talk()
    assert type(raised.value) is seen


@pytest.mark.usefixtures("forked")
def test_a_process_that_ends_before_it_joins_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"exit code by rank: \{1: 3\}"), launch_group(2, tmp_path, add, refuse):
        pass


def test_they_meet_wherever_the_folder_lies(tmp_path: Path) -> None:
    folder = tmp_path / "Modèles, 100 % #1?"
    folder.mkdir()
    with launch_group(2, folder, add, check_parent, timedelta(seconds=30)) as group:
        assert group.sum(1) == (3,)


def test_they_die_with_the_first(tmp_path: Path) -> None:
    command = [sys.executable, "-c", f"from tests.fakes.peers import hold; hold({str(tmp_path)!r})"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.kill()
    assert children
    deadline = time.monotonic() + 60
    while any(map(alive, children)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False
