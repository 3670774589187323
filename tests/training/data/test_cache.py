import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.errors import InsufficientStorage
from app.training.data.cache import count_begun_bytes, evict, make_room, open_entry
from app.training.hooks import Stopped


def fill(size: int, calls: list[int] | None = None):  # type: ignore[no-untyped-def]
    def make(folder: Path) -> None:
        (folder / "data").write_bytes(b"x" * size)
        if calls is not None:
            calls.append(size)

    return make


def stopped_after(size: int):  # type: ignore[no-untyped-def]
    def make(folder: Path) -> None:
        (folder / "data").write_bytes(b"x" * size)
        raise Stopped("pause")

    return make


def entry(cache: Path, key: str, size: int, used: float) -> Path:
    folder = cache / "kind" / key
    open_entry(folder, fill(size)).close()
    os.utime(folder / "lock", (used, used))
    return folder


def test_an_entry_is_made_once_and_stamped_when_used(tmp_path: Path) -> None:
    calls: list[int] = []
    folder = tmp_path / "kind" / "a"
    open_entry(folder, fill(3, calls)).close()
    os.utime(folder / "lock", (1, 1))
    with open_entry(folder, fill(3, calls)):
        assert calls == [3]
        assert (folder / "lock").stat().st_mtime > 1_000_000


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    old, middle, new = (entry(tmp_path, k, 100, used) for k, used in [("a", 1), ("b", 2), ("c", 3)])
    assert evict(tmp_path, budget=300) == 0
    assert evict(tmp_path, budget=300, needed=50) == 100
    assert [f.exists() for f in (old, middle, new)] == [False, True, True]
    assert evict(tmp_path, budget=0) == 200
    assert list((tmp_path / "kind").iterdir()) == []


def test_what_is_in_use_stays(tmp_path: Path) -> None:
    folder = entry(tmp_path, "a", 100, used=1)
    with open_entry(folder, fill(100)):
        assert evict(tmp_path, budget=0) == 0
        assert (folder / "data").exists()
    assert evict(tmp_path, budget=0) == 100


def test_what_a_killed_process_left_half_made_goes(tmp_path: Path) -> None:
    left = tmp_path / "kind" / ".tmp-left"
    left.mkdir(parents=True)
    (left / "data").write_bytes(b"x" * 10)
    assert evict(tmp_path, budget=1000) == 0  # it may have been begun just now
    (left / "lock").touch()
    assert evict(tmp_path, budget=1000) == 0  # somebody may go on with it
    for file in left.iterdir():
        os.utime(file, (1, 1))
    assert evict(tmp_path, budget=1000) == 10
    assert not left.exists()


def test_what_was_begun_counts_and_gives_way_like_the_rest(tmp_path: Path) -> None:
    made = entry(tmp_path, "a", 100, used=1)
    with pytest.raises(Stopped):
        open_entry(tmp_path / "kind" / "b", stopped_after(50))
    assert evict(tmp_path, budget=100) == 100
    assert not made.exists()
    assert count_begun_bytes(tmp_path / "kind" / "b") == 50
    assert evict(tmp_path, budget=0) == 50
    assert count_begun_bytes(tmp_path / "kind" / "b") == 0


def test_what_a_stopped_maker_left_is_gone_on_with(tmp_path: Path) -> None:
    folder = tmp_path / "kind" / "a"
    with pytest.raises(Stopped):
        open_entry(folder, stopped_after(7))
    assert not folder.exists()

    def go_on(aside: Path) -> None:
        assert (aside / "data").stat().st_size == 7
        (aside / "more").touch()

    open_entry(folder, go_on).close()
    assert sorted(f.name for f in folder.iterdir()) == ["data", "lock", "more"]
    assert count_begun_bytes(folder) is None
    assert list((tmp_path / "kind").iterdir()) == [folder]


def test_what_another_is_making_is_waited_for(tmp_path: Path) -> None:
    folder, asked, may_end = tmp_path / "kind" / "a", threading.Event(), threading.Event()
    calls: list[int] = []

    def make(aside: Path) -> None:
        calls.append(1)
        asked.set()
        assert may_end.wait(10)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(open_entry, folder, make)
        assert asked.wait(10)
        open_entry(folder, make, may_end.set).close()  # the first goes on only when this one waits
        first.result().close()
    assert calls == [1]


def test_who_waits_can_be_stopped(tmp_path: Path) -> None:
    def make(aside: Path) -> None:
        def wait() -> None:
            raise Stopped("cancel")

        with pytest.raises(Stopped):
            open_entry(tmp_path / "kind" / "a", fill(1), wait)

    open_entry(tmp_path / "kind" / "a", make).close()


def test_who_waited_for_a_maker_that_failed_makes_it(tmp_path: Path) -> None:
    folder, waiting = tmp_path / "kind" / "a", threading.Event()

    def fail(aside: Path) -> None:
        (aside / "rubbish").touch()
        assert waiting.wait(10)
        raise ValueError

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(open_entry, folder, fail)
        while not (folder.with_name(".tmp-a") / "rubbish").exists():
            assert not first.done()
        open_entry(folder, fill(3), waiting.set).close()
        assert isinstance(first.exception(10), ValueError)
    assert sorted(f.name for f in folder.iterdir()) == ["data", "lock"]


def test_what_is_being_made_stays(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        (folder / "data").write_bytes(b"x")
        assert evict(tmp_path, budget=0) == 0

    open_entry(tmp_path / "kind" / "a", make).close()


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - our own
        open_entry(tmp_path / "kind" / "a", fail)
    assert list((tmp_path / "kind").iterdir()) == []


def test_a_disk_that_is_too_small_is_a_clear_error(tmp_path: Path) -> None:
    folder = entry(tmp_path, "a", 100, used=1)
    make_room(tmp_path, budget=1000, needed=10, beside=10)
    assert folder.exists()

    def free(path: Path) -> int:
        return 50 if folder.exists() else 150

    make_room(tmp_path, budget=1000, needed=30, beside=30, free=free)  # the cache gives way
    assert not folder.exists()
    with pytest.raises(InsufficientStorage, match="disk"):
        make_room(tmp_path, budget=1000, needed=100, beside=100, free=free)
