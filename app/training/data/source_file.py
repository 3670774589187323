"""A file that a job trains on or evaluates with."""

import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SourceFile:
    """A file on the worker's disk, with what the job says about it."""

    path: Path
    filename: str  # the name it was uploaded with; its suffixes tell the format
    sha256: str | None = None  # hexadecimal digest of the content, if it is known already
    weight: float = 1.0  # how often an epoch contains each of the file's samples

    def digest(self) -> str:
        """Returns the SHA-256 of the content, and reads the file if it is not known."""
        if self.sha256:
            return self.sha256
        with self.path.open("rb") as f:
            return hashlib.file_digest(f, "sha256").hexdigest()
