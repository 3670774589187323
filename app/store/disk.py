"""The file operations that publication rests on: copies that are durable, and locks between processes."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.system.durable import make_folders, sync

_CHUNK = 4 * 1024 * 1024
_TEMPORARY = ".tmp-"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on a file, which is created if need be. The kernel frees it on death."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


@contextmanager
def temporary_folder(root: Path, lock: Path) -> Iterator[Path]:
    """A folder on the filesystem of `root`, gone afterwards unless it was renamed away.

    It is itself locked as long as this process lives, which is how the leftovers of killed
    processes are told from work under way; `lock` guards the moment in between.
    """
    with locked(lock):
        _sweep(root)
        folder = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=root))
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        folder.chmod(0o755)  # mkdtemp is private; a published model is not
        yield folder
    finally:
        if folder.exists():
            shutil.rmtree(folder)
        os.close(fd)  # last: once it is unlocked, others would sweep it too


def _sweep(root: Path) -> None:
    for folder in root.glob(f"{_TEMPORARY}*"):
        # Gone: its process was just cleaning up. Blocked: its process lives.
        with contextlib.suppress(FileNotFoundError, BlockingIOError), _opened(folder) as fd:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def copy_folder(folder: Path, target: Path, *, leave_out: str) -> dict[str, str]:
    """Copies all files durably, but hidden ones and the one at `leave_out`; links become files.

    Returns the path relative to the folder, and the sha256, of each.
    """
    digests = {}
    for source in sorted(path for path in folder.rglob("*") if path.is_file()):
        relative = source.relative_to(folder)
        if relative == Path(leave_out) or any(part.startswith(".") for part in relative.parts):
            continue
        make_folders((target / relative).parent)
        digests[relative.as_posix()] = _copy_file(source, target / relative)
    for child in [path for path in target.rglob("*") if path.is_dir()]:
        sync(child)
    return digests


def folder_size(folder: Path) -> int:
    """Bytes of all files in a folder, hidden ones and links included."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _copy_file(source: Path, target: Path) -> str:
    digest = hashlib.sha256()
    with source.open("rb") as reader, target.open("xb") as writer:
        while chunk := reader.read(_CHUNK):
            digest.update(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    return digest.hexdigest()
