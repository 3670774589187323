"""The manifests and aliases of a bucket, kept in memory and read again soon after they have changed.

A request may not wait for a bucket, so it reads the index. Every writer changes the object `generation`, which each
process asks for every second; a whole list is read only after a change, and every half minute.
"""

import json
import logging
import secrets
import threading
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from pydantic import ValidationError

from app.errors import AppError, InvalidValue
from app.storage.bucket import Bucket, StoredObject
from app.store.entry import ALIASES, MANIFEST
from app.store.manifest import Manifest
from app.store.names import check_name, parse_version

MODELS = "models"
_GENERATION = "generation"
_INTERVAL = 1.0  # seconds between two looks at the generation
_LOOKS = 30  # after which the list is read though nothing has changed: a writer may die before it says so
_READERS = 16  # objects that are read at once

_log = logging.getLogger(__name__)

_Key = tuple[str, int | None]  # a name and a version; None: its aliases


@dataclass(frozen=True)
class _Snapshot:
    """tags: of all objects that were read. numbers: of the whole versions of each name, highest first."""

    tags: Mapping[_Key, Mapping[str, str]] = field(default_factory=dict)
    manifests: Mapping[tuple[str, int], Manifest] = field(default_factory=dict)
    aliases: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    numbers: Mapping[str, Sequence[int]] = field(default_factory=dict)


class BucketIndex:
    """Thread-safe. Follows the bucket from its first use on, in a thread of its own.

    interval: seconds between two looks.
    """

    def __init__(self, bucket: Bucket, *, interval: float = _INTERVAL) -> None:
        self._bucket, self._interval = bucket, interval
        self._snapshot = _Snapshot()
        self._generation: bytes | None = None
        self._reading = threading.Lock()
        self._starting = threading.Lock()
        self._started = False

    @property
    def numbers(self) -> Mapping[str, Sequence[int]]:
        """The numbers of the whole versions of each name, highest first."""
        return self._current().numbers

    def manifest(self, name: str, version: int) -> Manifest | None:
        return self._current().manifests.get((name, version))

    def aliases(self, name: str) -> dict[str, int]:
        """The aliases of a name that point at a version."""
        snapshot = self._current()
        return {a: v for a, v in snapshot.aliases.get(name, {}).items() if (name, v) in snapshot.manifests}

    def announce(self) -> None:
        """Makes this process see a change at once, and others within about a second.

        A bucket that fails after the change was written is only logged: others see the change a little later.
        """
        try:
            self._bucket.write(_GENERATION, secrets.token_hex(16).encode())
            self.refresh()
        except AppError as error:
            _log.warning(
                "other processes see a change of %s only after half a minute: %s", self._bucket.url, error.message
            )

    def refresh(self) -> None:
        """Reads what has changed. Raises NotReady."""
        with self._reading:
            self._generation = self._read_generation()  # before the list: a later change is seen at the next look
            self._snapshot = self._read()
        self._started = self._started or self._follow()

    def look(self) -> bool:
        """Reads what has changed, if a writer says so. Returns whether it did. Raises NotReady."""
        changed = self._read_generation() != self._generation
        if changed:
            self.refresh()
        return changed

    def _current(self) -> _Snapshot:
        if not self._started:
            with self._starting:
                if not self._started:
                    self.refresh()
        return self._snapshot

    def _follow(self) -> bool:
        arguments = (weakref.ref(self), self._interval)
        threading.Thread(target=_follow, args=arguments, name="bucket-index", daemon=True).start()
        return True

    def _read_generation(self) -> bytes | None:
        found = self._bucket.read(_GENERATION)
        return None if found is None else found[0]

    def _read(self) -> _Snapshot:
        old = self._snapshot
        objects = {key: each for each in self._bucket.list(MODELS) if (key := _parse(each.key)) is not None}
        changed = [key for key, each in objects.items() if old.tags.get(key) != each.tag]
        with ThreadPoolExecutor(_READERS) as readers:
            contents = dict(
                zip(changed, readers.map(lambda key: self._bucket.read(objects[key].key), changed), strict=True)
            )
        manifests, aliases = {}, {}
        for key in objects:
            name, version = key
            if version is not None:
                known = old.manifests.get((name, version))
                manifest = _parse_manifest(contents[key], name, version) if key in contents else known
                if manifest is not None:
                    manifests[name, version] = manifest
            else:
                aliases[name] = _parse_aliases(contents[key], name) if key in contents else old.aliases[name]
        numbers: dict[str, list[int]] = {}
        for name, version in sorted(manifests, key=lambda pair: -pair[1]):
            numbers.setdefault(name, []).append(version)
        return _Snapshot({key: each.tag for key, each in objects.items()}, manifests, aliases, numbers)


def _follow(reference: "weakref.ref[BucketIndex]", interval: float) -> None:
    """Looks at the generation until the index is no longer used."""
    pause, looks, failed = threading.Event(), 0, False
    while not pause.wait(interval):
        index = reference()
        if index is None:
            return
        try:
            looks = 0 if index.look() else looks + 1
            if looks >= _LOOKS:
                index.refresh()
                looks = 0
            failed = False
        except AppError as error:  # what was read before is served meanwhile
            if not failed:
                _log.warning("models may be out of date: %s", error.message)
            failed = True
        except Exception:
            _log.exception("the models of the bucket could not be read")
        del index  # or this thread would keep it alive


def _parse(key: str) -> _Key | None:
    """models/<name>/<version>/manifest.json, or models/<name>/aliases.json; None for other objects."""
    *folders, file = key.removeprefix(f"{MODELS}/").split("/")
    version = parse_version(folders.pop()) if file == MANIFEST and folders else None
    if version is None and file != ALIASES:
        return None
    try:
        return check_name("/".join(folders)), version
    except InvalidValue:
        return None


def _parse_manifest(found: tuple[bytes, StoredObject] | None, name: str, version: int) -> Manifest | None:
    """Returns None for a version that is deleted or cannot be read."""
    if found is None or is_deleted(found[0]):
        return None
    try:
        manifest = Manifest.model_validate_json(found[0])
    except ValidationError as error:
        _log.warning("%s@%d has no valid manifest and is left out: %s", name, version, error)
        return None
    return manifest.model_copy(update={"name": name, "version": version})


def _parse_aliases(found: tuple[bytes, StoredObject] | None, name: str) -> dict[str, int]:
    try:
        return {str(alias): int(version) for alias, version in json.loads(found[0]).items()} if found else {}
    except (ValueError, AttributeError, TypeError) as error:
        _log.warning("the aliases of %s cannot be read and are left out: %s", name, error)
        return {}


def is_deleted(manifest: bytes) -> bool:
    """Whether an object in the place of a manifest says that its version was deleted."""
    try:
        return "deleted" in json.loads(manifest)
    except (ValueError, TypeError):
        return False
