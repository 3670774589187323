"""The file operations that publication rests on: durable copies, and temporary folders."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
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
        sync_open(writer)
    return digest.hexdigest()
