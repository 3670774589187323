"""The model store: versions of models by name, number and alias.

A version never changes once it is published. Names may hold slashes. The versions themselves are in a folder tree or in
a bucket (`VersionStorage`).
"""

import difflib
from collections.abc import Callable
from pathlib import Path

from app.errors import Forbidden, InvalidValue, ModelNotFound
from app.store.entry import MANIFEST, Entries, Fence, ModelEntry, VersionStorage, find_publication
from app.store.folder_storage import FolderStorage
from app.store.manifest import Manifest
from app.store.names import LATEST, ModelId, check_alias, check_name, check_new_name

__all__ = ["MANIFEST", "Entries", "ModelEntry", "ModelStore"]


class ModelStore:
    """Thread-safe. Raises ModelNotFound, which names what is near, for ids that lead nowhere.

    root: the folder of the models, or another storage.
    """

    def __init__(self, root: Path | VersionStorage) -> None:
        self._storage: VersionStorage = FolderStorage(root) if isinstance(root, Path) else root
        self.root = self._storage.location

    def check(self) -> None:
        """Proves that a bucket can be written. Raises NotReady, which names the setting."""
        self._storage.check()

    # Reading

    def list(self) -> Entries:
        """Lists every version of every model: names in order, the latest version of each first."""
        return [entry for name in sorted(self._storage.names()) for entry in self.versions(name)]

    def versions(self, name: str) -> Entries:
        """The versions of one model, latest first; empty if there is no such model."""
        check_name(name)
        entries = (self._storage.read(name, number) for number in self._storage.numbers(name))
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
        entry = self._storage.read(wanted.name, version) if version is not None else None
        if entry is None:
            raise self._not_found(model_id, wanted)
        return entry

    def aliases(self, name: str) -> dict[str, int]:
        """alias → version; without `latest`, which follows publications by itself."""
        return self._storage.aliases(check_name(name))

    # Writing

    def publish(
        self,
        folder: Path,
        manifest: Manifest,
        *,
        name: str,
        fence: Fence | None = None,
        base: ModelEntry | None = None,
        since: float | None = None,
    ) -> ModelEntry:
        """Copies the files of `folder` in as the next version of `name`: whole or not at all.

        base: a version whose files the new one has too, but for those that `folder` replaces. Both share their bytes
        in the storage, and each can be deleted without the other.
        Raises InsufficientStorage if the disk has no room, and ModelNotFound if `base` was deleted.

        Nothing is published twice: a second call with the same `manifest.publication_id`, a job's by
        default, returns the first entry.
        `fence` runs right before the version appears, and stops it by raising.
        since: Unix seconds at which the owner's right to the name was checked. Raises Forbidden if the name has been
        new since then, and another owner has taken it.
        """
        check_new_name(name)
        if (published := find_publication(self._storage, name, manifest.publication_id)) is not None:
            return published

        def check() -> None:
            if since is not None:
                self._check_owner(name, manifest.owner, since)
            if fence is not None:
                fence()

        return self._storage.publish(folder, manifest, name, check, base)

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Points `name:alias` at a version, in one step."""
        if check_alias(alias) == LATEST:
            raise InvalidValue(f"the alias {LATEST!r} always means the newest version", param="alias")
        self.resolve(f"{name}@{version}")

        def change(aliases: dict[str, int]) -> dict[str, int]:
            self.resolve(f"{name}@{version}")  # still there
            return aliases | {alias: version}

        self._storage.change_aliases(name, change)

    def remove_alias(self, name: str, alias: str) -> None:
        def change(aliases: dict[str, int]) -> dict[str, int]:
            if aliases.pop(check_alias(alias), None) is None:
                raise self._not_found(f"{name}:{alias}", ModelId(name, alias=alias))
            return aliases

        self.resolve(name)
        self._storage.change_aliases(name, change)

    def delete(self, model_id: str, *, fence: Callable[[Entries], None] | None = None) -> Entries:
        """Deletes `name@version`, or with a bare `name` every version of it; returns what is gone.

        `fence` is shown what would go, and stops it by raising.
        Aliases of deleted versions go with them. An alias alone is refused: too easily mistaken.
        """
        wanted = ModelId.parse(model_id)
        if wanted.alias is not None:
            raise InvalidValue(f"delete {self.resolve(model_id).id} by its version, not by an alias", param="model")

        def select() -> Entries:
            entries = [self.resolve(model_id)] if wanted.version is not None else self.versions(wanted.name)
            if fence is not None:
                fence(entries)
            return entries

        self.resolve(model_id)
        return self._storage.delete(wanted.name, select)

    # Inside

    def _check_owner(self, name: str, owner: str | None, since: float) -> None:
        """Raises Forbidden for a name that another owner has taken since then. Operators may use all names."""
        versions = self.versions(name)
        first = versions[-1].manifest if versions else None
        if owner is not None and first is not None and first.owner != owner and first.created >= int(since):
            raise Forbidden(f"another API key has published a model {name!r} meanwhile: choose another name")

    def _latest(self, name: str) -> ModelEntry:
        for number in self._storage.numbers(name):
            if (entry := self._storage.read(name, number)) is not None:
                return entry
        raise self._not_found(name, ModelId(name))

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
