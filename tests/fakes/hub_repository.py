"""A repository of the fake hub."""

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

Files = Mapping[str, bytes]


@dataclass
class FakeRepository:
    """revisions: files by branch, tag or pull request (`refs/pr/1`). gated: nobody has access.

    held: an event that the second half of weights waits for. broken: files whose connection ends after half of them.
    resized: files of which there are more bytes than the hub says.
    """

    revisions: Mapping[str, Files]
    pull_requests: Mapping[int, str] = field(default_factory=dict)  # number → author
    gated: bool = False
    held: threading.Event | None = None
    broken: frozenset[str] = frozenset()
    resized: frozenset[str] = frozenset()

    def commit(self, revision: str) -> str:
        return hashlib.sha1(revision.encode(), usedforsecurity=False).hexdigest()

    def files(self, revision: str) -> tuple[str, Files] | None:
        """The commit of a revision or commit, and its files; None for an unknown one."""
        for name, files in self.revisions.items():
            if revision in (name, self.commit(name)):
                return self.commit(name), files
        return None
