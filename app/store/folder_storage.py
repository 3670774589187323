"""Versions in a folder tree, which any number of processes read and publish to at once.

    <root>/<name>/<version>/     the files of one model; manifest.json is written last
    <root>/<name>/aliases.json   alias → version
    <root>/<name>/.last-version  the highest version ever deleted, so that no id is used twice
    <root>/.tmp-*/               publications under way

Folders without a manifest are not there. Nothing is cached but parsed manifests, so what one process publishes, every
other sees with its next call.
"""

import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from app.errors import InvalidModel, ModelNotFound
from app.store.disk import copy_folder, folder_size, list_folders, share_files, temporary_folder
from app.store.entry import ALIASES, MANIFEST, Entries, Fence, ModelEntry, find_publication
from app.store.manifest import Manifest
from app.store.names import MAX_NAME_LENGTH, is_segment, parse_version
from app.system.disk_space import DiskReserve
from app.system.durable import make_folders, sync, write_bytes
from app.system.locks import hold_lock

_LAST_VERSION = ".last-version"
_ROOM_FOR_DELETIONS = 2**20  # bytes that a publication leaves free: a deletion writes a few
_ALIASES = TypeAdapter(dict[str, int])

_log = logging.getLogger(__name__)


class FolderStorage:
    """Thread-safe."""

    def __init__(self, root: Path) -> None:
        self.location = root
        self._lock = root / ".lock"
        self._known: dict[str, tuple[tuple[int, int, int], ModelEntry | None]] = {}
        self._guard = threading.Lock()

    def check(self) -> None:
        """Does nothing: a folder that cannot be written says so at its first write, and may be meant to be read."""

    # Reading

    def names(self) -> Iterator[str]:
        """Yields every folder path under the root that may be a model's name."""
        pending = [""]
        while pending:
            prefix = pending.pop()
            for child in list_folders(self.location / prefix):
                name = f"{prefix}/{child}" if prefix else child
                if is_segment(child) and len(name) <= MAX_NAME_LENGTH:
                    pending.append(name)
                    yield name

    def numbers(self, name: str) -> Sequence[int]:
        children = list_folders(self.location / name)
        return sorted((number for child in children if (number := parse_version(child)) is not None), reverse=True)

    def read(self, name: str, version: int) -> ModelEntry | None:
        """A version that is whole, or None; its manifest is parsed again only when the file changed."""
        file = f"{self.location}/{name}/{version}/{MANIFEST}"  # not a Path: every request comes by here
        try:
            stat = os.stat(file)
        except (FileNotFoundError, NotADirectoryError):
            with self._guard:
                self._known.pop(file, None)
            return None
        signature = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        with self._guard:
            known = self._known.get(file)
        if known is not None and known[0] == signature:
            return known[1]
        entry = _read_entry(self.location / name / str(version), name, version)
        with self._guard:
            self._known[file] = (signature, entry)
        return entry

    def aliases(self, name: str) -> dict[str, int]:
        try:
            return _ALIASES.validate_json((self.location / name / ALIASES).read_bytes())
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):  # a folder: of a model that is so named
            return {}
        except ValidationError as error:
            raise InvalidModel(f"{name}/{ALIASES} does not map aliases to versions") from error

    # Writing

    def publish(
        self, folder: Path, manifest: Manifest, name: str, fence: Fence | None, base: ModelEntry | None
    ) -> ModelEntry:
        """Files of `base` are shared as hard links, and each version can be deleted without the other.

        `fence` runs under the lock. Raises InsufficientStorage if the disk has no room.
        """
        self.location.mkdir(parents=True, exist_ok=True)
        DiskReserve(self.location, _ROOM_FOR_DELETIONS).check(folder_size(folder))
        with temporary_folder(self.location, self._lock) as temporary:
            digests = copy_folder(folder, temporary, leave_out=MANIFEST)
            if base is not None:
                digests |= share_files(base.path, temporary, base.manifest.files, leave_out={MANIFEST, *digests})
                if self.read(base.name, base.version) is None:  # a deletion takes the whole folder
                    raise ModelNotFound(f"the model {base.id!r} does not exist: it was deleted just now")
            if not digests:
                raise InvalidModel(f"{folder} holds no files to publish")
            with hold_lock(self._lock, create=True):
                if (published := find_publication(self, name, manifest.publication_id)) is not None:
                    return published
                version = self._next_version(name)
                complete = manifest.model_copy(
                    update={"name": name, "version": version, "created": int(time.time()), "files": digests}
                )
                write_bytes(temporary / MANIFEST, (complete.model_dump_json(indent=2) + "\n").encode())
                if fence is not None:
                    fence()
                target = self.location / name / str(version)
                self._place(temporary, target)
        return ModelEntry(name, version, target, complete)

    def change_aliases(self, name: str, change: Callable[[dict[str, int]], Mapping[str, int]]) -> None:
        with hold_lock(self._lock, create=True):
            self._write_aliases(name, change(self.aliases(name)))

    def delete(self, name: str, select: Callable[[], Entries]) -> Entries:
        # Out of sight in one step under the lock; file by file when the temporary folder goes.
        with temporary_folder(self.location, self._lock) as grave, hold_lock(self._lock, create=True):
            entries = select()
            gone = {entry.version for entry in entries}
            last_version = self._next_version(name) - 1
            write_bytes(self.location / name / _LAST_VERSION, str(last_version).encode())
            aliases = self.aliases(name)
            if gone & set(aliases.values()):
                self._write_aliases(name, {a: v for a, v in aliases.items() if v not in gone})
            for entry in entries:
                entry.path.rename(grave / str(entry.version))
        return entries

    # Inside

    def _next_version(self, name: str) -> int:
        try:
            deleted = int((self.location / name / _LAST_VERSION).read_text())
        except (FileNotFoundError, NotADirectoryError):
            deleted = 0
        return max([deleted, *self.numbers(name)]) + 1

    def _place(self, folder: Path, target: Path) -> None:
        """Moves a folder to its place in the store. If that fails, no new folder is left of its parents."""
        parents = [parent for parent in target.parents if parent.is_relative_to(self.location) and not parent.exists()]
        try:
            make_folders(target.parent)
            folder.rename(target)
        except OSError:
            for parent in parents:
                with contextlib.suppress(OSError):
                    parent.rmdir()
            raise
        sync(target.parent)

    def _write_aliases(self, name: str, aliases: Mapping[str, int]) -> None:
        text = json.dumps(dict(aliases), indent=2, sort_keys=True) + "\n"
        write_bytes(self.location / name / ALIASES, text.encode())


def _read_entry(path: Path, name: str, version: int) -> ModelEntry | None:
    try:
        manifest = Manifest.model_validate_json((path / MANIFEST).read_bytes())
    except (FileNotFoundError, ValidationError) as error:
        _log.warning("%s is not a valid manifest and its model is left out: %s", path / MANIFEST, error)
        return None
    # The place decides: a folder may have been copied here from another store.
    if (manifest.name, manifest.version) != (name, version):
        manifest = manifest.model_copy(update={"name": name, "version": version})
    return ModelEntry(name, version, path, manifest)
