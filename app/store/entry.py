"""One stored version of a model, and the seam between the store and the place where it keeps versions."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from app.store.manifest import Manifest

MANIFEST = "manifest.json"
ALIASES = "aliases.json"

Fence = Callable[[], None]  # runs right before a version appears, and stops it by raising


@dataclass(frozen=True)
class ModelEntry:
    """path: the folder of the version's files. Its first use may download them, so it is not for an event loop."""

    name: str
    version: int
    path: Path
    manifest: Manifest

    @property
    def id(self) -> str:
        return f"{self.name}@{self.version}"


Entries = list[ModelEntry]


class VersionStorage(Protocol):
    """The place where a store keeps its versions: a folder tree, or a bucket. Names that it gets are checked.

    location: where it is, for messages.
    """

    @property
    def location(self) -> str | Path: ...

    def check(self) -> None:
        """Proves that versions can be written. Raises NotReady, which names the setting."""

    def names(self) -> Iterable[str]:
        """Yields all names that may have versions, in any order."""

    def numbers(self, name: str) -> Sequence[int]:
        """The numbers of a model's versions, highest first. Some may not be whole."""

    def read(self, name: str, version: int) -> ModelEntry | None:
        """A version that is whole, or None."""

    def aliases(self, name: str) -> dict[str, int]:
        """alias → version. Raises InvalidModel if they cannot be read."""

    def change_aliases(self, name: str, change: Callable[[dict[str, int]], Mapping[str, int]]) -> None:
        """Replaces the aliases by what `change` makes of them, in one step. `change` may run again."""

    def publish(
        self, folder: Path, manifest: Manifest, name: str, fence: Fence | None, base: ModelEntry | None
    ) -> ModelEntry:
        """Copies a folder in as the next version, or returns the version with the same publication id."""

    def delete(self, name: str, select: Callable[[], Entries]) -> Entries:
        """Deletes the versions that `select` returns, with their aliases. Their numbers are not used again."""


def find_publication(storage: VersionStorage, name: str, publication_id: str | None) -> ModelEntry | None:
    """Returns the version of a model that has this publication id."""
    if publication_id is None:
        return None
    entries = (storage.read(name, number) for number in storage.numbers(name))
    return next((e for e in entries if e is not None and e.manifest.publication_id == publication_id), None)
