from pathlib import Path

import pytest

from app.system.cgroups import count_oom_kills

V2 = "0::/system.slice/cloze.service\n"
V1 = "9:name=systemd:/\n4:cpu,memory:/docker/abc\n0::/\n"


@pytest.mark.parametrize(
    ("membership", "file", "content", "found"),
    [
        (V2, "system.slice/cloze.service/memory.events", "low 0\noom 3\noom_kill 2\noom_group_kill 0\n", 2),
        ("0::/\n", "memory.events", "oom 1\noom_kill 1\n", 1),
        (V2, "memory.events", "oom_kill 5\n", 5),  # a container, whose own group is the root that it sees
        (V1, "memory/docker/abc/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 7\n", 7),
        (V1, "memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n", 0),
        (V1, "memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n", None),  # before Linux 4.13
        (V2, "memory.current", "1\n", None),
    ],
)
def test_the_counter_is_found(tmp_path: Path, membership: str, file: str, content: str, found: int | None) -> None:
    (tmp_path / "cgroup").write_text(membership)
    path = tmp_path / "root" / file
    path.parent.mkdir(parents=True)
    path.write_text(content)
    assert count_oom_kills(tmp_path / "cgroup", tmp_path / "root") == found


def test_without_control_groups_it_is_unknown(tmp_path: Path) -> None:
    assert count_oom_kills(tmp_path / "none", tmp_path) is None
