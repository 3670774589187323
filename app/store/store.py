"""The model store: a folder tree that any number of processes read and publish to at once.

    <root>/<name>/<version>/     the files of one model; manifest.json is written last
    <root>/<name>/aliases.json   alias → version
    <root>/<name>/.last-version  the highest version ever deleted, so that no id is used twice
    <root>/.tmp-*/               publications under way

A version never changes once it is published. Names may hold slashes. Folders without a manifest
are not there. Nothing is cached but parsed manifests, so what one process publishes, every other
sees with its next call.
"""

import contextlib
import difflib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from app.errors import InvalidModel, InvalidValue, ModelNotFound
from app.store.disk import copy_folder, folder_size, list_folders, share_files, temporary_folder
from app.store.manifest import Manifest
from app.store.names import (
    LATEST,
    MAX_NAME_LENGTH,
    ModelId,
    check_alias,
    check_name,
    check_new_name,
    is_segment,
    parse_version,
)
from app.system.disk_space import DiskReserve
from app.system.durable import make_folders, sync, write_bytes
from app.system.locks import hold_lock

MANIFEST = "manifest.json"
ALIASES = "aliases.json"
_LAST_VERSION = ".last-version"
_ROOM_FOR_DELETIONS = 2**20  # bytes that a publication leaves free: a deletion writes a few
_ALIASES = TypeAdapter(dict[str, int])

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelEntry:
    name: str
    version: int
    path: Path
    manifest: Manifest

    @property
    def id(self) -> str:
        return f"{self.name}@{self.version}"


Entries = list[ModelEntry]  # the method `list` hides the builtin from the class's own annotations


class ModelStore:
    """Thread-safe. Raises ModelNotFound, which names what is near, for ids that lead nowhere."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = root / ".lock"
        self._known: dict[str, tuple[tuple[int, int, int], ModelEntry | None]] = {}
        self._guard = threading.Lock()

    # Reading

    def list(self) -> Entries:
        """Lists every version of every model: names in order, the latest version of each first."""
        return [entry for name in sorted(self._names()) for entry in self.versions(name)]

    def versions(self, name: str) -> Entries:
        """The versions of one model, latest first; empty if there is no such model."""
        folder = self.root / check_name(name)
        entries = (self._entry(name, number) for number in sorted(_version_numbers(folder), reverse=True))
        return [entry for entry in entries if entry is not None]

    def resolve(self, model_id: str) -> ModelEntry:
        """The entry behind `name` (its latest version), `name@version` or `name:alias`."""
        try:
            wanted = ModelId.parse(model_id)
        except InvalidValue as error:
            raise self._not_found(model_id) from error
        if wanted.version is not None:
            version: int | None = wanted.version
        elif wanted.alias is not None and wanted.alias != LATEST:
            version = self.aliases(wanted.name).get(wanted.alias)
        else:
            return self._latest(wanted.name)
        entry = self._entry(wanted.name, version) if version is not None else None
        if entry is None:
            raise self._not_found(model_id, wanted)
        return entry

    def aliases(self, name: str) -> dict[str, int]:
        """alias → version; without `latest`, which follows publications by itself."""
        try:
            return _ALIASES.validate_json((self.root / check_name(name) / ALIASES).read_bytes())
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):  # a folder: of a model that is so named
            return {}
        except ValidationError as error:
            raise InvalidModel(f"{name}/{ALIASES} does not map aliases to versions") from error

    # Writing

    def publish(
        self,
        folder: Path,
        manifest: Manifest,
        *,
        name: str,
        fence: Callable[[], None] | None = None,
        base: ModelEntry | None = None,
    ) -> ModelEntry:
        """Copies the files of `folder` in as the next version of `name`: whole or not at all.

        base: a version whose files the new one has too, but for those that `folder` replaces. Both share their bytes
        on the disk, and each can be deleted without the other.
        Raises InsufficientStorage if the disk has no room, and ModelNotFound if `base` was deleted.

        Nothing is published twice: a second call with the same `manifest.publication_id`, a job's by
        default, returns the first entry.
        `fence` runs under the store's lock right before the version appears, and stops it by raising.
        """
        check_new_name(name)
        if (published := self._published_as(manifest.publication_id, name)) is not None:
            return published
        self.root.mkdir(parents=True, exist_ok=True)
        DiskReserve(self.root, _ROOM_FOR_DELETIONS).check(folder_size(folder))
        with temporary_folder(self.root, self._lock) as temporary:
            digests = copy_folder(folder, temporary, leave_out=MANIFEST)
            if base is not None:
                digests |= share_files(base.path, temporary, base.manifest.files, leave_out={MANIFEST, *digests})
                self.resolve(base.id)  # still there: a deletion takes the whole folder
            if not digests:
                raise InvalidModel(f"{folder} holds no files to publish")
            with hold_lock(self._lock, create=True):
                if (published := self._published_as(manifest.publication_id, name)) is not None:
                    return published
                version = self._next_version(name)
                complete = manifest.model_copy(
                    update={"name": name, "version": version, "created": int(time.time()), "files": digests}
                )
                write_bytes(temporary / MANIFEST, (complete.model_dump_json(indent=2) + "\n").encode())
                if fence is not None:
                    fence()
                target = self.root / name / str(version)
                self._place(temporary, target)
        return ModelEntry(name, version, target, complete)

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Points `name:alias` at a version, in one step."""
        if check_alias(alias) == LATEST:
            raise InvalidValue(f"the alias {LATEST!r} always means the newest version", param="alias")
        self.resolve(f"{name}@{version}")
        with hold_lock(self._lock, create=True):
            self.resolve(f"{name}@{version}")  # still there
            self._write_aliases(name, self.aliases(name) | {alias: version})

    def remove_alias(self, name: str, alias: str) -> None:
        self.resolve(name)
        with hold_lock(self._lock, create=True):
            aliases = self.aliases(name)
            if aliases.pop(check_alias(alias), None) is None:
                raise self._not_found(f"{name}:{alias}", ModelId(name, alias=alias))
            self._write_aliases(name, aliases)

    def delete(self, model_id: str, *, fence: Callable[[Entries], None] | None = None) -> Entries:
        """Deletes `name@version`, or with a bare `name` every version of it; returns what is gone.

        `fence` is shown what would go, and stops it by raising.
        Aliases of deleted versions go with them. An alias alone is refused: too easily mistaken.
        """
        wanted = ModelId.parse(model_id)
        if wanted.alias is not None:
            raise InvalidValue(f"delete {self.resolve(model_id).id} by its version, not by an alias", param="model")
        self.resolve(model_id)
        # Out of sight in one step under the lock; file by file when the temporary folder goes.
        with temporary_folder(self.root, self._lock) as grave, hold_lock(self._lock, create=True):
            entries = [self.resolve(model_id)] if wanted.version is not None else self.versions(wanted.name)
            if fence is not None:
                fence(entries)
            gone = {entry.version for entry in entries}
            last_version = self._next_version(wanted.name) - 1
            write_bytes(self.root / wanted.name / _LAST_VERSION, str(last_version).encode())
            aliases = self.aliases(wanted.name)
            if gone & set(aliases.values()):
                self._write_aliases(wanted.name, {a: v for a, v in aliases.items() if v not in gone})
            for entry in entries:
                entry.path.rename(grave / str(entry.version))
        return entries

    # Inside

    def _names(self) -> Iterator[str]:
        """Yields every folder path under the root that may be a model's name."""
        pending = [""]
        while pending:
            prefix = pending.pop()
            for child in list_folders(self.root / prefix):
                name = f"{prefix}/{child}" if prefix else child
                if is_segment(child) and len(name) <= MAX_NAME_LENGTH:
                    pending.append(name)
                    yield name

    def _latest(self, name: str) -> ModelEntry:
        for number in sorted(_version_numbers(self.root / name), reverse=True):
            if (entry := self._entry(name, number)) is not None:
                return entry
        raise self._not_found(name, ModelId(name))

    def _entry(self, name: str, version: int) -> ModelEntry | None:
        """A version that is whole, or None; its manifest is parsed again only when the file changed."""
        file = f"{self.root}/{name}/{version}/{MANIFEST}"  # not a Path: every request comes by here
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
        entry = _read_entry(self.root / name / str(version), name, version)
        with self._guard:
            self._known[file] = (signature, entry)
        return entry

    def _published_as(self, publication_id: str | None, name: str) -> ModelEntry | None:
        if publication_id is None:
            return None
        return next((e for e in self.versions(name) if e.manifest.publication_id == publication_id), None)

    def _next_version(self, name: str) -> int:
        folder = self.root / name
        try:
            deleted = int((folder / _LAST_VERSION).read_text())
        except (FileNotFoundError, NotADirectoryError):
            deleted = 0
        return max([deleted, *_version_numbers(folder)]) + 1

    def _place(self, folder: Path, target: Path) -> None:
        """Moves a folder to its place in the store. If that fails, no new folder is left of its parents."""
        parents = [parent for parent in target.parents if parent.is_relative_to(self.root) and not parent.exists()]
        try:
            make_folders(target.parent)
            folder.rename(target)
        except OSError:
            for parent in parents:
                with contextlib.suppress(OSError):
                    parent.rmdir()
            raise
        sync(target.parent)

    def _write_aliases(self, name: str, aliases: dict[str, int]) -> None:
        text = json.dumps(aliases, indent=2, sort_keys=True) + "\n"
        write_bytes(self.root / name / ALIASES, text.encode())

    def _not_found(self, model_id: str, wanted: ModelId | None = None) -> ModelNotFound:
        """Says what exists instead: versions and aliases of the model, or models of a similar name."""
        message = f"the model {model_id[:200]!r} does not exist"
        versions = self.versions(wanted.name) if wanted is not None else []
        if versions:
            known = [f"@{entry.version}" for entry in versions[:5]]
            known += [f":{alias}" for alias in sorted(self.aliases(versions[0].name))[:5]]
            return ModelNotFound(f"{message}; {versions[0].name} has {', '.join(known)}", param="model")
        names = sorted({entry.name for entry in self.list()})
        near = difflib.get_close_matches(model_id[:200], names, n=3, cutoff=0.4) or names[:3]
        hint = f"; near it: {', '.join(near)}" if near else "; the store is empty"
        return ModelNotFound(message + hint, param="model")


def _version_numbers(folder: Path) -> list[int]:
    return [number for child in list_folders(folder) if (number := parse_version(child)) is not None]


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
