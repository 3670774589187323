"""Archives that are unpacked into a folder, such as those of models: .zip, .tar, .tar.gz, .tar.xz, .tar.zst."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import IO, Any

from app.datasets.archives import check_type, detect_compression
from app.datasets.compression import COMPRESSIONS
from app.datasets.sources import Budget, reading
from app.datasets.tars import read_tar
from app.datasets.zips import check_path, normalize_separators, open_entry, open_zip, read_entries
from app.errors import InvalidData, TooLarge
from app.system.disk_space import full_disk

_MOST_ENTRIES = 100_000
_PIECE = 1024 * 1024  # bytes


def unpack_archive(
    path: Path,
    filename: str,
    target: Path,
    *,
    is_wanted: Callable[[PurePosixPath], bool],
    max_files: int,
    max_bytes: int,
    on_bytes: Callable[[int], None],
) -> list[PurePosixPath]:
    """Writes the wanted regular files of an archive into the folder `target`, and returns their paths in it.

    Links, hidden files and files with unsafe paths are left out. Memory holds pieces of files only.

    filename: the archive's name, for messages. is_wanted: tells by its path whether a file is written.
    max_files: that are written. max_bytes: of all members together, unpacked.
    on_bytes: hears how many bytes are unpacked so far.

    Raises InvalidData for a file that is broken or not an archive, TooLarge, and InsufficientStorage.
    """
    written: list[PurePosixPath] = []
    done = 0
    with reading(filename, "the archive is broken or cut off"), path.open("rb") as file:
        for name, size, content in _open_members(file, filename, Budget(filename, max_bytes * 2, None)):
            done += size
            if done > max_bytes:
                raise TooLarge(f"{filename}: more than {max_bytes:,} bytes unpacked", param="file")
            if not is_wanted(name):
                continue
            if len(written) == max_files:
                raise TooLarge(f"{filename}: more than {max_files:,} files of a model", param="file")
            with _open_target(target / name, filename) as copy:
                while piece := content.read(_PIECE):
                    _write(copy, piece)
                    on_bytes(done - size + copy.tell())
            written.append(name)
    return written


def _open_target(place: Path, filename: str) -> IO[bytes]:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        return place.open("wb", buffering=0)
    except OSError as error:
        if full := full_disk(error):
            raise full from error
        reason = error.strerror or "unknown"
        raise InvalidData(f"{filename}: {place.name[:100]!r} cannot be unpacked: {reason}", param="file") from error


def _write(copy: IO[bytes], piece: bytes) -> None:
    try:
        rest = memoryview(piece)
        while rest:
            rest = rest[copy.write(rest) :]
    except OSError as error:
        raise full_disk(error) or error from error


def _open_members(file: IO[Any], filename: str, budget: Budget) -> Iterator[tuple[PurePosixPath, int, IO[bytes]]]:
    """Yields the path, the size and the open content of each regular file. Read one before you request the next."""
    head = file.read(262 + 5)
    file.seek(0)
    with ExitStack() as stack:
        if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            archive = stack.enter_context(open_zip(file, filename, _MOST_ENTRIES))  # type: ignore[arg-type]
            for entry in read_entries(archive, filename, _MOST_ENTRIES):
                if entry.reason is None:
                    with open_entry(archive, entry.info) as content:
                        yield PurePosixPath(entry.path), entry.info.file_size, content  # type: ignore[misc]
            return
        suffix = detect_compression(head)
        if suffix is None and head[257:262] != b"ustar":
            raise InvalidData(f"{filename} is not a .tar, .tar.gz, .tar.xz, .tar.zst or .zip archive", param="file")
        stream = stack.enter_context(COMPRESSIONS[suffix](file)) if suffix else file
        for tar, member in read_tar(stream, filename, budget, _MOST_ENTRIES):
            name = normalize_separators(member.name)
            if member.isdir() or check_type(member) or check_path(name):
                continue
            extracted = tar.extractfile(member)
            assert extracted is not None
            yield PurePosixPath(name), member.size, extracted
