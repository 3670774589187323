from pathlib import Path

from app.jobs.logs import last_lines


def test_the_last_lines_of_a_long_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_lines(log) == ""
    log.write_text("\n".join(f"line {n} {'x' * 100}" for n in range(1000)))
    assert [line.split()[1] for line in last_lines(log).splitlines()] == [str(n) for n in range(980, 1000)]
