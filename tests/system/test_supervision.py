import signal
import sys
from pathlib import Path

from app.system.supervision import RestartPause, start_child


def test_quick_deaths_lengthen_the_pause_and_a_long_life_resets_it() -> None:
    pause = RestartPause()
    assert [pause.next(lifetime) for lifetime in (1.0, 1.0, 1.0, 3600.0, 1.0)] == [0.5, 1.0, 2.0, 0.5, 1.0]
    assert max(pause.next(0.0) for _ in range(100)) == 30.0


def test_a_child_writes_its_output_to_the_log(tmp_path: Path) -> None:
    script = "import os, sys; print(os.environ['WORD']); print('error', file=sys.stderr)"
    with (tmp_path / "log").open("wb") as log:
        child = start_child([sys.executable, "-c", script], environment={"WORD": "said"}, log=log)
        assert child.wait() == 0
    assert sorted((tmp_path / "log").read_text().split()) == ["error", "said"]


def test_a_child_has_a_session_of_its_own() -> None:
    script = "import os, sys; sys.exit(os.getsid(0) != os.getpid())"
    assert start_child([sys.executable, "-c", script], signum=signal.SIGKILL).wait() == 0
