"""An upload that is being written to the disk, and to the bucket of uploads if there is one."""

import contextlib
import filecmp
import hashlib
import os
import re
import secrets
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from app.errors import EmptyInput, TooLarge
from app.jobs.connection import Client
from app.jobs.indexes import FILES, file_entries, file_key, replace_entries
from app.jobs.shared_files import SharedFiles
from app.jobs.spec import StoredFile
from app.system.disk_space import DiskReserve
from app.system.durable import make_folders, sync, sync_open

UNFINISHED = ".tmp-"  # begins the names of folders of uploads under way
_MAX_NAME = 255  # characters


class FileUpload:
    """A file that is being written: its folder appears complete, in one rename."""

    def __init__(
        self,
        redis: Client,
        root: Path,
        reserve: DiskReserve,
        filename: str,
        purpose: str,
        max_bytes: int,
        owner: str | None = None,
        shared: SharedFiles | None = None,
    ) -> None:
        self._redis = redis
        self._root = root
        self._reserve = reserve
        self._shared = shared
        self._filename, self._purpose, self._max_bytes = _clean_name(filename), purpose, max_bytes
        self._owner = owner
        self._id = f"file-{secrets.token_hex(12)}"
        self._folder = root / f"{UNFINISHED}{self._id}"
        self._digest = hashlib.sha256()
        self._size = 0

    def __enter__(self) -> Self:
        self._reserve.check()
        make_folders(self._root)
        try:
            self._folder.mkdir()
            # Unbuffered, since chunks are large: closing the file then writes nothing, and cannot fail.
            self._file = (self._folder / "content").open("wb", buffering=0)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        finally:
            if self._folder.exists():
                shutil.rmtree(self._folder)

    def write(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > self._max_bytes:
            raise TooLarge(f"the file is larger than {self._max_bytes} bytes", param="file")
        self._reserve.check(len(chunk))
        self._digest.update(chunk)
        rest = memoryview(chunk)
        while rest:  # one call may write a part
            rest = rest[self._file.write(rest) :]

    def finish(self) -> StoredFile:
        """Makes the file durable, then known."""
        if self._size == 0:
            raise EmptyInput("the file is empty", param="file")
        sync_open(self._file)
        sync(self._folder)
        if self._shared is not None:  # what is not recorded below is dropped with unfinished uploads
            self._shared.upload(self._id, self._folder / "content")
        seconds, micros = self._redis.time()  # a Redis that is away leaves the folder to `__exit__`
        stored = StoredFile(
            id=self._id,
            filename=self._filename,
            bytes=self._size,
            sha256=self._digest.hexdigest(),
            purpose=self._purpose,
            created_at=seconds + micros / 1e6,
            owner=self._owner,
        )
        self._folder.rename(self._root / self._id)
        self._share_content(stored)
        self._record(stored)
        return stored

    def _share_content(self, stored: StoredFile) -> None:
        """Replaces the content by a hard link to that of another file with the same bytes, if there is one."""
        ids = self._redis.zrange(FILES, 0, -1)
        records = self._redis.mget([file_key(i.decode()) for i in ids]) if ids else []
        content = self._root / stored.id / "content"
        link = content.with_name("link")
        for other in (StoredFile.model_validate_json(record) for record in records if record is not None):
            if (other.sha256, other.bytes) != (stored.sha256, stored.bytes):
                continue
            with contextlib.suppress(OSError):  # it is being deleted, or the file system has no links
                same = self._root / other.id / "content"
                if filecmp.cmp(same, content, shallow=False):  # it may be damaged
                    os.link(same, link)
                    link.replace(content)
                    return

    def _record(self, stored: StoredFile) -> None:
        try:
            sync(self._root)
            with self._redis.pipeline() as pipe:
                pipe.set(file_key(stored.id), stored.model_dump_json())
                replace_entries(pipe, stored.id, {}, file_entries(stored))
                pipe.execute()
        except Exception:
            with contextlib.suppress(Exception):  # the answer may be all that was lost
                if not self._redis.exists(file_key(stored.id)):
                    shutil.rmtree(self._root / stored.id, ignore_errors=True)
            raise


def _clean_name(filename: str) -> str:
    """The last part of whatever path a client sent, without control characters."""
    name = re.sub(r"[\x00-\x1f\x7f]", "", re.split(r"[/\\]", filename)[-1]).strip()
    # The end is kept: its suffixes say what the file is.
    return name[-_MAX_NAME:] or "upload"
