"""`cloze serve` as a process of its own, and what tests ask of processes."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLOZE = [sys.executable, "-m", "app.cli"]
PATIENCE = 120.0  # seconds, on a busy machine


def server_environment(folder: Path) -> dict[str, str]:
    """Variables of a server on a free port, with its data and its store in a folder."""
    return os.environ | {
        "CLOZE_PORT": "0",
        "CLOZE_VAR_DIR": str(folder / "var"),
        "CLOZE_MODEL_STORE": str(folder / "store"),
        "CLOZE_WORKER_THREADS": "1",
        "CLOZE_WORKER_NICE": "0",  # tests wait for jobs, however busy the machine is
        "CLOZE_CRASH_BACKOFF_SECONDS": "0",  # or for the next attempt of a killed one
        "CLOZE_FORWARDS": "2",  # as on a small machine
        "CLOZE_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
    }


class Server:
    """`cloze serve` on a free port, with its output."""

    def __init__(
        self, folder: Path, *, command: Sequence[str] = (*CLOZE, "serve"), environment: Mapping[str, str] | None = None
    ) -> None:
        self.store = folder / "store"
        self.environment = server_environment(folder) | dict(environment or {})
        self.process = self._start(*command)
        self.output = ""
        self._news = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first match in what the server has printed, now or soon."""
        with self._news:
            assert self._news.wait_for(lambda: re.search(pattern, self.output), PATIENCE), self.output
            found = re.search(pattern, self.output)
            assert found is not None
            return found

    def cloze(self, *args: str) -> "subprocess.CompletedProcess[str]":
        command = self._start(*CLOZE, *args)
        output, _ = command.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(args, command.returncode, output)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)

    def _start(self, *command: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            command, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.output += line
                self._news.notify_all()


def descendants(pid: int) -> set[int]:
    """The processes that `pid` started, and those that they did."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        parents[int(stat.parent.name)] = int(fields[1])
    found: set[int] = set()
    while more := {child for child, parent in parents.items() if parent in found | {pid}} - found:
        found |= more
    return found


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)  # a question takes the processor from what it asks about
