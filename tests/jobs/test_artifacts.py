from pathlib import Path

import pytest

from app.errors import NotFound
from app.jobs.artifacts import JobArtifacts


def test_what_is_saved_is_listed_in_the_order_of_the_steps(tmp_path: Path) -> None:
    artifacts = JobArtifacts(tmp_path, "ftjob-1")
    assert artifacts.list() == []
    for step in (200, 30, 200):
        artifacts.save(f"step-{step:09d}.png", b"x" * step)
    (tmp_path / "ftjob-1" / "artifacts" / ".tmp-half").write_bytes(b"")
    assert [(a.name, a.bytes) for a in artifacts.list()] == [("step-000000030.png", 30), ("step-000000200.png", 200)]
    assert artifacts.path("step-000000030.png").read_bytes() == b"x" * 30


@pytest.mark.parametrize(
    "name", ["absent.png", "../lock", "..", "", ".tmp-half", "a/b.png", "a\0.png", "a" * 300 + ".png"]
)
def test_nothing_else_is_found(tmp_path: Path, name: str) -> None:
    JobArtifacts(tmp_path, "ftjob-1").save("a.png", b"")
    (tmp_path / "ftjob-1" / "lock").touch()
    with pytest.raises(NotFound):
        JobArtifacts(tmp_path, "ftjob-1").path(name)
