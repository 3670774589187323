"""Files that a job writes while it runs, such as pictures of its model's predictions."""

import re
from dataclasses import dataclass
from pathlib import Path

from app.errors import NotFound
from app.system.durable import make_folders, write_bytes

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*\.[a-z0-9]+")
_LONGEST = 200  # characters; file systems raise for names beyond about 255


@dataclass(frozen=True)
class Artifact:
    name: str
    bytes: int
    created_at: float  # Unix seconds


class JobArtifacts:
    """The artifacts of one job, which must exist. The worker writes them, the server reads them."""

    def __init__(self, jobs_dir: Path, job_id: str) -> None:
        self._folder = jobs_dir / job_id / "artifacts"

    def save(self, name: str, content: bytes) -> None:
        """Writes an artifact, in place of one of the same name. A reader sees either the old or the new one."""
        make_folders(self._folder)
        write_bytes(self._folder / name, content)

    def list(self) -> list[Artifact]:
        """Lists the artifacts by name, which is the order of their steps."""
        files = sorted(self._folder.iterdir()) if self._folder.is_dir() else []
        found = [(file.name, file.stat()) for file in files if _NAME.fullmatch(file.name)]
        return [Artifact(name, stat.st_size, stat.st_mtime) for name, stat in found]

    def path(self, name: str) -> Path:
        """Raises NotFound."""
        path = self._folder / name
        if not _NAME.fullmatch(name) or len(name) > _LONGEST or not path.is_file():
            raise NotFound(f"the job has no artifact {name[:100]!r}")
        return path
