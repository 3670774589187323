from pathlib import Path

import pytest

from app.system.cgroups import read_cpu_quota, read_memory_limit
from app.system.cpus import count_usable


@pytest.mark.parametrize(
    ("quota", "count"), [(None, 8), ("max 100000", 8), ("350000 100000", 3), ("50000 100000", 1), ("900000 100000", 8)]
)
def test_a_quota_counts_like_the_affinity(quota: str | None, count: int, tmp_path: Path) -> None:
    if quota is not None:
        (tmp_path / "cpu.max").write_text(quota + "\n")
    assert count_usable(8, read_cpu_quota(tmp_path)) == count


@pytest.mark.parametrize(("limit", "found"), [(None, None), ("max\n", None), ("1048576\n", 1048576)])
def test_the_limit_of_memory_is_read(limit: str | None, found: int | None, tmp_path: Path) -> None:
    if limit is not None:
        (tmp_path / "memory.max").write_text(limit)
    assert read_memory_limit(tmp_path) == found
