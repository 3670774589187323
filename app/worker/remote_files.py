"""The remote files of a job on the worker's machine: copies in the cache, which jobs of the same files share."""

import hashlib
import json
from contextlib import ExitStack
from pathlib import Path

from app.datasets.remote.download import download
from app.errors import InvalidData
from app.jobs.remote_digests import DIGESTS, read_digests
from app.system.disk_space import DiskReserve
from app.system.durable import write_bytes
from app.training.data.cache import count_begun_bytes, make_room, open_entry
from app.training.data.preparation import PreparationProgress
from app.training.data.source_file import SourceFile
from app.types import RemoteFile
from app.worker.attempt import Attempt, AttemptServices
from app.worker.reports import Reports


class RemoteFiles:
    """A context that downloads remote files. Their copies stay in the cache until it ends."""

    def __init__(self, attempt: Attempt, reports: Reports, services: AttemptServices) -> None:
        self._attempt, self._reports, self._settings = attempt, reports, services.settings
        self._held = ExitStack()

    def __enter__(self) -> "RemoteFiles":
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def fetch(self, file: RemoteFile, weight: float = 1.0) -> SourceFile:
        """Returns the copy of a file. Continues one that an earlier attempt or another job has begun.

        Raises Stopped when the job is to stop, and as `download` does.
        """
        folder = self._settings.cache_dir / "remote" / self._key(file)
        progress = PreparationProgress(self._reports, file.address, file.bytes, verb="downloading")
        if (begun := count_begun_bytes(folder)) is not None:
            self._announce(file, begun)

        def make(aside: Path) -> None:
            download(file, self._settings.remote_access, aside, progress)

        self._held.enter_context(open_entry(folder, make, lambda: progress(None)))
        digest = (folder / "sha256").read_text()
        self._check_digest(file, digest)
        return SourceFile(folder / "content", file.filename, digest, weight)

    def _key(self, file: RemoteFile) -> str:
        parts = [file.address, str(file.bytes), file.etag, file.modified, file.revision, file.sha256]
        if not file.has_version:
            parts.append(self._attempt.job.id)  # other jobs may mean another version
        return hashlib.sha256("\0".join(part or "" for part in parts).encode()).hexdigest()[:32]

    def _announce(self, file: RemoteFile, begun: int) -> None:
        settings = self._settings
        reserve = DiskReserve(settings.var_dir, settings.disk_reserve_bytes).size
        make_room(settings.cache_dir, settings.cache_bytes, max(0, file.bytes - begun), 0, reserve=reserve)
        self._reports.on_event(
            f"Downloading {file.address}, {file.bytes / 1e6:,.1f} MB"
            + (", continuing an earlier download" if begun else ""),
            {"file": file.address, "total_bytes": file.bytes},
        )

    def _check_digest(self, file: RemoteFile, digest: str) -> None:
        """Records the digest with the job. Raises InvalidData if an earlier attempt had other content."""
        digests = read_digests(self._attempt.folder)
        if digests.setdefault(file.address, digest) != digest:
            raise InvalidData(
                f"{file.address} has changed since the job has begun: its SHA-256 was {digests[file.address]}, and is"
                f" {digest}; create a new job to train on the new content"
            )
        write_bytes(self._attempt.folder / DIGESTS, json.dumps(digests).encode())
