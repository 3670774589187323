"""The GPU session's own parts: what becomes of a stage, and the weights in pieces."""

import sys
from pathlib import Path

import pytest

from benchmarks.gpu.parts import join_parts, split_folder
from benchmarks.gpu.stages import Stage, run_stages


def stage(name: str, code: str, seconds: float | None = 30.0, reserve: float = 0.0) -> Stage:
    return Stage(name, [sys.executable, "-c", code], seconds, reserve)


def test_a_stage_that_fails_or_hangs_stops_no_other(tmp_path: Path) -> None:
    stages = [
        stage("wrong", "raise SystemExit('no such device')"),
        stage("hangs", "import time; print('begun', flush=True); time.sleep(600)", seconds=1.5),
        stage("right", "print('text'); print('{\"rate\": 3}')"),
    ]
    wrong, hangs, right = run_stages(stages, 60, tmp_path / "log.txt")
    assert (wrong.end, hangs.end, right.end) == ("failed", "out of time", "passed")
    assert right.result == {"rate": 3}
    log = (tmp_path / "log.txt").read_text()
    assert "no such device" in log and "=== hangs: out of time" in log


def test_later_stages_have_what_is_reserved_for_them(tmp_path: Path) -> None:
    times = iter([0.0, 1.0, 1.0, 1.5, 2.0, 2.0, 3.0])
    stages = [
        stage("greedy", "", None, reserve=99.0),
        stage("last", "import os; print('{\"seconds\": ' + os.environ['CLOZE_GPU_SECONDS'] + '}')", None),
    ]
    greedy, last = run_stages(stages, 100, tmp_path / "log.txt", clock=lambda: next(times))
    assert greedy.end == "left out"
    assert last.result == {"seconds": 99}


def test_weights_come_back_from_their_parts(tmp_path: Path) -> None:
    folder, out = tmp_path / "export", tmp_path / "out"
    (folder / "1_Pooling").mkdir(parents=True)
    out.mkdir()
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 100)
    (folder / "1_Pooling" / "config.json").write_text("{}")
    parts = split_folder(folder, out, size=10_000)
    assert len(parts) > 2 and all(part.stat().st_size <= 10_000 for part in parts)
    join_parts(out, tmp_path / "joined")
    assert (tmp_path / "joined" / "model.safetensors").read_bytes() == bytes(range(256)) * 100
    assert (tmp_path / "joined" / "1_Pooling" / "config.json").is_file()
    parts[-1].unlink()
    with pytest.raises(ValueError, match="missing or changed"):
        join_parts(out, tmp_path / "again")
