from pathlib import Path

import pytest

from app.jobs.logs import AttemptLog, last_lines, log_path


def test_the_last_lines_of_a_long_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_lines(log) == ""
    log.write_text("\n".join(f"line {n} {'x' * 100}" for n in range(1000)))
    assert [line.split()[1] for line in last_lines(log).splitlines()] == [str(n) for n in range(980, 1000)]


@pytest.mark.parametrize("content", ["", "a", "a\n", "a\nb", "a\nb\n"])
def test_a_tail_begins_within_the_log(tmp_path: Path, content: str) -> None:
    path = log_path(tmp_path, "job", 1)
    path.parent.mkdir(parents=True)
    path.write_text(content)
    log = AttemptLog(tmp_path, "job", 1)
    for lines in range(4):
        start = log.tail_start(lines)
        tail = b"".join(log.chunks(start, log.size())).decode()
        assert start + len(tail) == len(content)
        assert tail == "".join(content.splitlines(keepends=True)[-lines:] if lines else [])
