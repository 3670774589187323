"""File writes that survive a power failure."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


def sync(path: Path) -> None:
    """Flushes the content of a file, or the entries of a folder, to the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_open(file: IO[Any]) -> None:
    """Flushes an open file and waits until its content is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_tree(folder: Path) -> None:
    """Syncs everything in a folder, at any depth, and the folder itself."""
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)


def make_folders(folder: Path) -> None:
    """Creates a folder and its missing parents durably."""
    if folder.is_dir():
        return
    make_folders(folder.parent)
    folder.mkdir(exist_ok=True)
    sync(folder.parent)


def write_bytes(path: Path, content: bytes) -> None:
    """Replaces a file atomically: a reader sees either the old or the new content."""
    with open_replacement(path) as writer:
        writer.write(content)


@contextmanager
def open_replacement(path: Path) -> Iterator[IO[bytes]]:
    """Opens a new file, which takes the place of `path` at the end, or is removed if an exception is raised."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as writer:
            yield writer
            sync_open(writer)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Makes a folder beside `path`, which becomes `path` at the end, or is removed if an exception is raised.

    Raises FileExistsError where `path` is anything but an empty folder.
    """
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    target = path.absolute()
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        temporary.chmod(0o755)  # mkdtemp is private
        yield temporary
        sync_tree(temporary)
        temporary.rename(target)  # takes the place of an empty folder
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync(target.parent)
