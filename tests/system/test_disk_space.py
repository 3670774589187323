import errno
import os
from pathlib import Path
from typing import NamedTuple

import pytest

from app.errors import InsufficientStorage
from app.system.disk_space import Ballast, DiskReserve, disk_usage, format_bytes, full_disk

GIB = 2**30


class Usage(NamedTuple):
    total: int
    free: int


def reserve_of(total: int, free: int, reserve: int | None = None) -> DiskReserve:
    return DiskReserve(Path("anywhere"), reserve, usage=lambda _: Usage(total, free))


def test_the_default_reserve_is_a_share_of_a_small_disk_and_1_gib_of_a_large_one() -> None:
    assert reserve_of(2 * GIB, 0).size == int(0.1 * GIB)
    assert reserve_of(1000 * GIB, 0).size == GIB
    assert reserve_of(1000 * GIB, 0, 7).size == 7


def test_what_would_take_from_the_reserve_is_refused() -> None:
    reserve = reserve_of(100, 50, 30)
    reserve.check()
    reserve.check(20)
    with pytest.raises(InsufficientStorage, match=r"0\.1 kB are free, of which 0\.0 kB are reserved"):
        reserve.check(21)
    reserve.check(21, reclaimable=1)
    reserve_of(100, 0, 0).check()


def test_the_usage_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert disk_usage(tmp_path / "a" / "b").total == disk_usage(tmp_path).total > 0


def test_ballast_gives_way_when_the_disk_is_full(tmp_path: Path) -> None:
    file, free = tmp_path / "ballast", 2**20

    def usage(folder: Path) -> Usage:
        return Usage(64 * 1000, free - (file.stat().st_size if file.exists() else 0))

    ballast = Ballast(file, usage=usage)
    ballast.restore()
    assert file.stat().st_size == 1000
    assert ballast.make_room() and file.exists()
    free = 1500
    assert ballast.make_room() and not file.exists()
    ballast.restore()
    assert not file.exists()  # it would fill the disk again
    free = 400
    assert not ballast.make_room()
    free = 4000
    ballast.restore()
    assert file.exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_from_other_errors(number: int) -> None:
    error = OSError(number, os.strerror(number), "/secret/path")
    known = full_disk(error)
    assert known is not None and known.message == "the disk is full"
    wrapped = ValueError("io error: " + os.strerror(number))
    wrapped.add_note("the checkpoint of step 3")
    known = full_disk(wrapped, "the model store's disk")
    assert known is not None
    assert known.message == "the model store's disk is full, so the checkpoint of step 3 could not be written"
    consequence = RuntimeError("something else")
    consequence.__cause__ = error
    assert full_disk(consequence) is not None
    assert full_disk(FileNotFoundError(errno.ENOENT, "no such file")) is None
    assert full_disk(ValueError("x")) is None


def test_bytes_have_the_unit_that_suits_them() -> None:
    assert [format_bytes(n) for n in (100, 20_000_000, 1_500_000_000)] == ["0.1 kB", "20.0 MB", "1.5 GB"]
