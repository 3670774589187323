"""Versions in a bucket, which any number of machines read and publish to at once.

    content/<sha256>                          the files of versions, shared by those that have the same
    models/<name>/<version>/manifest.json     a version; created once, after its content
    models/<name>/aliases.json                alias → version
    publications/<digest>                     the number under which all attempts of a publication write
    generation                                changes with every change

A conditional write takes the place of a lock: of two publishers that want the same number, one creates the manifest and
the other takes the next number. A deleted version leaves a small manifest that says so: its number is not used again.
"""

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from app.errors import InvalidModel, ModelNotFound, NotReady
from app.storage.bucket import Bucket
from app.store.bucket_index import MODELS, BucketIndex, is_deleted
from app.store.disk import hash_file, list_files
from app.store.entry import ALIASES, MANIFEST, Entries, Fence, ModelEntry
from app.store.manifest import Manifest
from app.store.model_cache import CachedFolder, ModelCache, WantedFile

GRACE = 24 * 3600.0  # seconds that unreferenced content is kept; no publication may take longer
CONTENT = "content"
PUBLICATIONS = "publications"
_PIECE = 4 * 2**20  # bytes


class CachedEntry(ModelEntry):
    """A version whose files are fetched at the first use of `path`, and stay in the cache while the entry is used."""

    def __init__(self, name: str, version: int, manifest: Manifest, fetch: Callable[[Manifest], CachedFolder]) -> None:
        # The base class is frozen.
        self.__dict__.update(name=name, version=version, manifest=manifest, _fetch=fetch, _folder=None)

    @property
    def path(self) -> Path:
        if self.__dict__["_folder"] is None:
            self.__dict__["_folder"] = self.__dict__["_fetch"](self.manifest)
        folder: CachedFolder = self.__dict__["_folder"]
        return folder.path

    def __repr__(self) -> str:
        return f"CachedEntry({self.id})"  # without the path, which would fetch the files

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CachedEntry) and (self.id, self.manifest) == (other.id, other.manifest)

    def __hash__(self) -> int:
        return hash(self.id)


class BucketStorage:
    """Thread-safe. Raises NotReady where the bucket does not answer."""

    def __init__(self, bucket: Bucket, cache: ModelCache, *, index: BucketIndex | None = None) -> None:
        self._bucket, self._cache = bucket, cache
        self._index = index or BucketIndex(bucket)
        self.location = bucket.url

    def check(self) -> None:
        self._bucket.check()
        self._index.refresh()  # so that no request waits for it

    # Reading

    def names(self) -> Iterable[str]:
        return self._index.numbers

    def numbers(self, name: str) -> Sequence[int]:
        return self._index.numbers.get(name, ())

    def read(self, name: str, version: int) -> ModelEntry | None:
        manifest = self._index.manifest(name, version)
        return None if manifest is None else CachedEntry(name, version, manifest, self._fetch)

    def aliases(self, name: str) -> dict[str, int]:
        return self._index.aliases(name)

    # Writing

    def publish(
        self, folder: Path, manifest: Manifest, name: str, fence: Fence | None, base: ModelEntry | None
    ) -> ModelEntry:
        own = {path.as_posix(): hash_file(folder / path) for path in list_files(folder, {MANIFEST})}
        digests = dict(base.manifest.files if base is not None else {}) | own
        if not digests:
            raise InvalidModel(f"{folder} has no files to publish")
        sources = {digest: folder / file for file, digest in own.items()}
        for digest, path in sources.items():
            self._upload(digest, path)
        complete = manifest.model_copy(update={"name": name, "created": int(time.time()), "files": digests})
        if base is not None:
            self._index.refresh()
            if self.read(base.name, base.version) is None:
                raise ModelNotFound(f"the model {base.id!r} does not exist: it was deleted just now")
        entry = self._place(complete, fence)
        for digest, path in sources.items():  # a collection of garbage may have met it before its manifest was there
            self._upload(digest, path)
        self._index.announce()
        return entry

    def change_aliases(self, name: str, change: Callable[[dict[str, int]], Mapping[str, int]]) -> None:
        key = f"{MODELS}/{name}/{ALIASES}"
        while True:
            self._index.refresh()
            found = self._bucket.read(key)
            content = json.dumps(dict(change(self._index.aliases(name))), sort_keys=True).encode()
            if self._bucket.replace(key, content, found[1] if found else None):
                break
        self._index.announce()

    def delete(self, name: str, select: Callable[[], Entries]) -> Entries:
        self._index.refresh()
        entries = select()
        for entry in entries:
            self._bucket.write(_manifest_key(name, entry.version), b'{"deleted": true}')
        gone = {entry.version for entry in entries}
        if gone & set(self._index.aliases(name).values()):
            self.change_aliases(name, lambda known: {a: v for a, v in known.items() if v not in gone})
        self._index.announce()
        return entries

    # Inside

    def _upload(self, digest: str, path: Path) -> None:
        """Uploads content that is not there, or so old that a collection of garbage may be about to delete it."""
        found = self._bucket.find(f"{CONTENT}/{digest}")
        if found is None or found.modified < time.time() - GRACE / 2:
            self._bucket.upload(f"{CONTENT}/{digest}", path)

    def _place(self, manifest: Manifest, fence: Fence | None) -> ModelEntry:
        """Creates the manifest under the next number, or returns the version with the same publication id."""
        name, publication, writer = manifest.name, manifest.publication_id, secrets.token_hex(8)
        number = 0
        while True:
            number = self._choose_number(name, publication, taken=number)
            manifest = manifest.model_copy(update={"version": number})
            content = json.dumps(manifest.model_dump(mode="json") | {"writer": writer}, indent=2).encode()
            if fence is not None:
                fence()
            if self._bucket.create(_manifest_key(name, number), content):
                break
            there = self._read_manifest(name, number)
            if there is not None and there.get("writer") == writer:  # made by a write whose answer was lost
                break
            if there is not None and publication is not None:
                found = Manifest.model_validate(there)
                if found.publication_id == publication:  # another attempt of the same publication was first
                    manifest = found
                    break
        return CachedEntry(name, number, manifest, self._fetch)

    def _choose_number(self, name: str, publication: str | None, *, taken: int) -> int:
        """Returns a free number above `taken`. All attempts of a publication get the same one."""
        if publication is None:
            return max(self._highest_number(name), taken) + 1
        key = f"{PUBLICATIONS}/{hashlib.sha256(f'{name}:{publication}'.encode()).hexdigest()}"
        while True:
            found = self._bucket.read(key)
            if found is not None and int(found[0]) > taken:
                return int(found[0])
            number = max(self._highest_number(name), taken) + 1
            if self._bucket.replace(key, str(number).encode(), found[1] if found else None):
                return number

    def _highest_number(self, name: str) -> int:
        """The highest number that was ever used, of deleted versions too. Reads the bucket."""
        prefix = f"{MODELS}/{name}/"
        keys = (each.key.removeprefix(prefix).split("/") for each in self._bucket.list(prefix.rstrip("/")))
        return max((int(parts[0]) for parts in keys if len(parts) == 2 and parts[0].isdecimal()), default=0)

    def _read_manifest(self, name: str, number: int) -> dict[str, object] | None:
        """Returns None for a version that is deleted or broken."""
        found = self._bucket.read(_manifest_key(name, number))
        if found is None or is_deleted(found[0]):
            return None
        content: dict[str, object] = json.loads(found[0])
        return content

    def _fetch(self, manifest: Manifest) -> CachedFolder:
        content = (manifest.model_dump_json(indent=2) + "\n").encode()
        files = {name: WantedFile(digest, partial(self._download, digest)) for name, digest in manifest.files.items()}
        files[MANIFEST] = WantedFile(hashlib.sha256(content).hexdigest(), lambda: (len(content), iter([content])))
        place = hashlib.sha256(f"{self.location}:{manifest.name}".encode()).hexdigest()[:12]
        return self._cache.open(f"{manifest.name.replace('/', '--')}@{manifest.version}-{place}", files)

    def _download(self, digest: str) -> tuple[int, Iterator[bytes]]:
        found = self._bucket.find(f"{CONTENT}/{digest}")
        if found is None:
            raise NotReady(f"{self.location} lacks {CONTENT}/{digest}, which a model needs")
        return found.size, self._bucket.download(found.key, _PIECE)


def _manifest_key(name: str, version: int) -> str:
    return f"{MODELS}/{name}/{version}/{MANIFEST}"
