"""The file operations that publication rests on: durable copies, and temporary folders."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Container, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from app.system.durable import make_folders, sync, sync_open
from app.system.locks import hold_lock

_CHUNK = 4 * 1024 * 1024
_TEMPORARY = ".tmp-"


@contextmanager
def temporary_folder(root: Path, lock: Path) -> Iterator[Path]:
    """A folder on the filesystem of `root`, gone afterwards unless it was renamed away.

    It is itself locked as long as this process lives, which is how the leftovers of killed
    processes are told from work under way; `lock` guards the moment in between.
    """
    with ExitStack() as stack:
        with hold_lock(lock, create=True):
            _sweep(root)
            folder = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=root))
            stack.enter_context(hold_lock(folder))  # released last: others sweep a folder without a lock
        stack.callback(_remove, folder)
        folder.chmod(0o755)  # mkdtemp is private; a published model is not
        yield folder


def _sweep(root: Path) -> None:
    for folder in root.glob(f"{_TEMPORARY}*"):
        # Gone: its process was just cleaning up. Blocked: its process lives.
        with suppress(FileNotFoundError, BlockingIOError), hold_lock(folder, wait=False):
            shutil.rmtree(folder)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def copy_folder(folder: Path, target: Path, *, leave_out: str) -> dict[str, str]:
    """Copies all files durably, but hidden ones and the one at `leave_out`; links become files.

    Returns the path relative to the folder, and the sha256, of each.
    """
    digests = {}
    for relative in list_files(folder, {leave_out}):
        make_folders((target / relative).parent)
        digests[relative.as_posix()] = _copy_file(folder / relative, target / relative)
    _sync_folders(target)
    return digests


def share_files(folder: Path, target: Path, digests: Mapping[str, str], *, leave_out: Container[str]) -> dict[str, str]:
    """Adds the files of a folder that never changes to `target`, as hard links: both folders have the same bytes.

    A file that cannot be linked is copied. digests: the known sha256 of files, by path relative to the folder.
    leave_out: paths that are not added. Returns the digest of each file that was added.
    """
    added = {}
    for relative in list_files(folder, leave_out):
        name = relative.as_posix()
        make_folders((target / relative).parent)
        try:
            os.link(folder / relative, target / relative)
        except FileNotFoundError:  # the folder was deleted
            raise
        except OSError:  # file systems without hard links, or too many links to one file
            added[name] = _copy_file(folder / relative, target / relative)
        else:
            added[name] = digests.get(name) or hash_file(target / relative)
    _sync_folders(target)
    return added


def list_files(folder: Path, leave_out: Container[str]) -> Iterator[Path]:
    """Yields the paths of the files in a folder, relative to it, but hidden ones and those to leave out."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        relative = path.relative_to(folder)
        if relative.as_posix() not in leave_out and not any(part.startswith(".") for part in relative.parts):
            yield relative


def _sync_folders(folder: Path) -> None:
    for child in [path for path in folder.rglob("*") if path.is_dir()]:
        sync(child)


def hash_file(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def list_folders(path: Path) -> list[str]:
    """Returns the names of the folders in a folder; none where it does not exist."""
    try:
        with os.scandir(path) as children:
            return [child.name for child in children if child.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def folder_size(folder: Path) -> int:
    """Bytes of all files in a folder, hidden ones and links included."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _copy_file(source: Path, target: Path) -> str:
    digest = hashlib.sha256()
    with source.open("rb") as reader, target.open("xb") as writer:
        while chunk := reader.read(_CHUNK):
            digest.update(chunk)
            writer.write(chunk)
        sync_open(writer)
    return digest.hexdigest()
