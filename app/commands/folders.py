"""Folders as data sets: packed to one archive, which is uploaded."""

import os
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from app.errors import InvalidValue


@dataclass
class PackedFolder:
    """The content of an archive. left_out: number of files by the reason."""

    files: int = 0
    bytes: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    def describe(self) -> str:
        left_out = ", ".join(f"{count:,} {reason}" for reason, count in self.left_out.items())
        return f"{self.files:,} files, {self.bytes / 1e6:,.1f} MB" + (f"; left out: {left_out}" if left_out else "")


def archive_name(folder: Path) -> str:
    return f"{folder.resolve().name or 'folder'}.tar"


def pack_folder(folder: Path, target: Path) -> PackedFolder:
    """Writes the files of a folder to a .tar, sorted by path. The same files always give the same bytes.

    Hidden files and folders, links and special files are left out. Raises InvalidValue for a folder without files.
    """
    packed = PackedFolder()
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        for path in _walk(folder, packed):
            entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
            with path.open("rb") as content:
                entry.size = os.fstat(content.fileno()).st_size
                archive.addfile(entry, content)
            packed.files += 1
            packed.bytes += entry.size
    if not packed.files:
        raise InvalidValue(f"{folder} contains no files; {packed.describe()}")
    return packed


def _walk(folder: Path, packed: PackedFolder) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            packed.left_out["hidden"] += 1
        elif path.is_symlink():
            packed.left_out["links"] += 1
        elif path.is_dir():
            yield from _walk(path, packed)
        elif path.is_file():
            yield path
        else:
            packed.left_out["special files"] += 1
