"""The files of one stored version, with their digests."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from app.errors import ModelNotFound
from app.store.store import MANIFEST, ModelEntry


@dataclass(frozen=True)
class VersionFile:
    """One file of a version. name: its path within the version's folder, with slashes. size: bytes."""

    name: str
    path: Path
    size: int
    sha256: str


@dataclass(frozen=True)
class VersionFiles:
    """The files of a version by name, in order, its manifest among them.

    digest: 64 hex digits that follow from the names and digests of all files.
    """

    files: dict[str, VersionFile]
    digest: str

    @property
    def commit(self) -> str:
        """The version as a commit id of Git: 40 hex digits."""
        return self.digest[:40]


def list_files(entry: ModelEntry) -> VersionFiles:
    """Lists the files of a version. Hidden files are left out, as at a publication.

    Digests come from the manifest. Files that it does not list, such as itself, are read once per process.
    Raises ModelNotFound for a version that is deleted meanwhile.
    """
    try:
        files = {file.name: file for file in _scan(entry)}
        (entry.path / MANIFEST).stat()  # deletion moves the whole folder: it was there until now
    except FileNotFoundError as error:
        raise ModelNotFound(f"the model {entry.id!r} does not exist: it was deleted just now", param="model") from error
    lines = "".join(f"{file.sha256}  {file.name}\n" for file in files.values())
    return VersionFiles(files, hashlib.sha256(lines.encode()).hexdigest())


def _scan(entry: ModelEntry) -> Iterator[VersionFile]:
    for path in sorted(path for path in entry.path.rglob("*") if path.is_file()):
        relative = path.relative_to(entry.path)
        if not any(part.startswith(".") for part in relative.parts):
            name, stat = relative.as_posix(), path.stat()
            sha256 = entry.manifest.files.get(name) or _hash(path, stat.st_mtime_ns, stat.st_size)
            yield VersionFile(name, path, stat.st_size, sha256)


@lru_cache(maxsize=1024)
def _hash(path: Path, modified: int, size: int) -> str:
    """Hashes a file. modified, size: part of the cache's key, so that a file that has changed is read again."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
