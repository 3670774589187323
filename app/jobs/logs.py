"""Logs of a job's processes: one file an attempt, on the disk that the workers write to."""

from collections.abc import Iterator
from pathlib import Path

from app.errors import NotFound

MAX_TAIL_BYTES = 1 << 20
_CHUNK = 1 << 16
_LAST_LINES = 20
_LAST_BYTES = 16_384


def log_path(jobs_dir: Path, job_id: str, attempt: int) -> Path:
    return jobs_dir / job_id / f"attempt-{attempt}.log"


def last_lines(log: Path) -> str:
    """The end of a log, or nothing if this machine does not have it."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LAST_BYTES))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-_LAST_LINES:])
    except FileNotFoundError:
        return ""


class AttemptLog:
    """Reads a log that may still be growing. Every call raises NotFound if it is not on this machine."""

    def __init__(self, jobs_dir: Path, job_id: str, attempt: int) -> None:
        self._path = log_path(jobs_dir, job_id, attempt)
        self._missing = f"the log of attempt {attempt} of job '{job_id}' is not on this machine"

    def size(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError as e:
            raise NotFound(self._missing) from e

    def read(self, start: int, count: int = _CHUNK) -> bytes:
        """Reads at most `count` bytes from `start` on; none at the end of the log."""
        try:
            with self._path.open("rb") as file:
                file.seek(start)
                return file.read(count)
        except FileNotFoundError as e:
            raise NotFound(self._missing) from e

    def chunks(self, start: int, end: int) -> Iterator[bytes]:
        while start < end and (chunk := self.read(start, min(_CHUNK, end - start))):
            yield chunk
            start += len(chunk)

    def tail_start(self, lines: int) -> int:
        """Returns the position at which the last `lines` lines begin, at most MAX_TAIL_BYTES before the end."""
        size = self.size()
        start = max(0, size - MAX_TAIL_BYTES)
        text = self.read(start, size - start)
        position = len(text) - text.endswith(b"\n")  # the last line's own end begins no further one
        for _ in range(lines):
            position = text.rfind(b"\n", 0, position)
            if position < 0:
                return start
        return min(size, start + position + 1)  # without a last line end, no lines begin behind the end
