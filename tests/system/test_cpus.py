from pathlib import Path

import pytest

from app.system import cpus as processors


@pytest.mark.parametrize(
    ("quota", "count"), [(None, 8), ("max 100000", 8), ("350000 100000", 3), ("50000 100000", 1), ("900000 100000", 8)]
)
def test_a_quota_counts_like_the_affinity(
    quota: str | None, count: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(processors.os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr(processors, "_QUOTA", tmp_path / "cpu.max")
    if quota is not None:
        (tmp_path / "cpu.max").write_text(quota + "\n")
    assert processors.cpu_count() == count
