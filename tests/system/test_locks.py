import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.system.locks import acquire_lock, hold_lock, release_lock


def test_an_exclusive_lock_keeps_others_out(tmp_path: Path) -> None:
    with hold_lock(tmp_path), pytest.raises(BlockingIOError), hold_lock(tmp_path, shared=True, wait=False):
        pass
    with hold_lock(tmp_path, wait=False):
        pass


def test_shared_holders_do_not_keep_one_another_out(tmp_path: Path) -> None:
    with (
        hold_lock(tmp_path, shared=True),
        hold_lock(tmp_path, shared=True, wait=False),
        pytest.raises(BlockingIOError),
        hold_lock(tmp_path, wait=False),
    ):
        pass


def test_a_missing_file_is_made_on_request_only(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), hold_lock(tmp_path / "lock"):
        pass
    with hold_lock(tmp_path / "lock", create=True):
        assert (tmp_path / "lock").exists()


def test_a_released_lock_is_free_though_its_file_is_open(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("ab") as file:
        acquire_lock(file)
        release_lock(file)
        with hold_lock(tmp_path / "lock", wait=False):
            pass


# Tells over its exit status whether it could take the lock of a file.
_TRY = """
import sys
from app.system.locks import acquire_lock
with open(sys.argv[1], "ab") as file:
    try:
        acquire_lock(file, wait=False, survives_fork=False)
    except BlockingIOError:
        sys.exit(7)
"""


def test_a_lock_of_one_process_keeps_others_out_and_ends_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", _TRY, os.fspath(path)]
    with path.open("ab") as file:
        acquire_lock(file, wait=False, survives_fork=False)
        assert subprocess.run(command, check=False).returncode == 7
    assert subprocess.run(command, check=False).returncode == 0
