import os
from pathlib import Path

import pytest

from app.errors import InsufficientStorage
from app.training.cache import collect, hold, make_room


def fill(size: int, calls: list[int] | None = None):  # type: ignore[no-untyped-def]
    def make(folder: Path) -> None:
        (folder / "data").write_bytes(b"x" * size)
        if calls is not None:
            calls.append(size)

    return make


def entry(cache: Path, key: str, size: int, used: float) -> Path:
    folder = cache / "kind" / key
    hold(folder, fill(size)).close()
    os.utime(folder / "lock", (used, used))
    return folder


def test_an_entry_is_made_once_and_stamped_when_used(tmp_path: Path) -> None:
    calls: list[int] = []
    folder = tmp_path / "kind" / "a"
    hold(folder, fill(3, calls)).close()
    os.utime(folder / "lock", (1, 1))
    with hold(folder, fill(3, calls)):
        assert calls == [3]
        assert (folder / "lock").stat().st_mtime > 1_000_000


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    old, middle, new = (entry(tmp_path, k, 100, used) for k, used in [("a", 1), ("b", 2), ("c", 3)])
    assert collect(tmp_path, budget=300) == 0
    assert collect(tmp_path, budget=300, needed=50) == 100
    assert [f.exists() for f in (old, middle, new)] == [False, True, True]
    assert collect(tmp_path, budget=0) == 200
    assert list((tmp_path / "kind").iterdir()) == []


def test_what_is_in_use_stays(tmp_path: Path) -> None:
    folder = entry(tmp_path, "a", 100, used=1)
    with hold(folder, fill(100)):
        assert collect(tmp_path, budget=0) == 0
        assert (folder / "data").exists()
    assert collect(tmp_path, budget=0) == 100


def test_what_a_killed_process_left_half_made_goes(tmp_path: Path) -> None:
    left = tmp_path / "kind" / ".tmp-left"
    left.mkdir(parents=True)
    (left / "data").write_bytes(b"x" * 10)
    assert collect(tmp_path, budget=1000) == 0  # it may have been begun just now
    (left / "lock").touch()
    assert collect(tmp_path, budget=1000) == 10
    assert not left.exists()


def test_what_is_being_made_stays(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        (folder / "data").write_bytes(b"x")
        assert collect(tmp_path, budget=0) == 0

    hold(tmp_path / "kind" / "a", make).close()


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - our own
        hold(tmp_path / "kind" / "a", fail)
    assert list((tmp_path / "kind").iterdir()) == []


def test_a_disk_that_is_too_small_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = entry(tmp_path, "a", 100, used=1)
    make_room(tmp_path, budget=1000, needed=10, beside=10)
    assert folder.exists()
    monkeypatch.setattr("app.training.cache._free", lambda _: 50 if folder.exists() else 150)
    make_room(tmp_path, budget=1000, needed=30, beside=30)  # the cache gives way
    assert not folder.exists()
    with pytest.raises(InsufficientStorage, match="disk"):
        make_room(tmp_path, budget=1000, needed=100, beside=100)
