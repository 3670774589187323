"""Uploaded files: content on disk, records in Redis.

Content is at `<root>/<id>/content`. Files of the same bytes share them on the disk as hard links, so each may be
deleted on its own. A folder without a record is an upload that was cut off
before it was acknowledged, or the rest of a deletion; nothing refers to it.
"""

import asyncio
import contextlib
import filecmp
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import AsyncIterable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeAlias

from redis.exceptions import WatchError

from app.errors import Conflict, EmptyInput, FileNotFound, InsufficientStorage, TooLarge
from app.jobs.connection import Client
from app.jobs.indexes import FILES, file_entries, file_jobs_key, file_key, replace_entries
from app.jobs.spec import StoredFile
from app.jobs.viewer import EVERYONE, Viewer
from app.system.disk_space import DiskReserve
from app.system.durable import make_folders, sync, sync_open

_MAX_NAME = 255  # characters
_UNFINISHED = ".tmp-"  # begins the names of folders of uploads under way

Ids: TypeAlias = list[str]
Order: TypeAlias = Literal["asc", "desc"]
Files: TypeAlias = list[StoredFile]  # the method `list` hides the builtin
FilePage: TypeAlias = tuple[list[StoredFile], bool]


class FileStore:
    """reserve: free disk space that uploads leave alone; None: none. viewer: whose files it finds and makes."""

    def __init__(
        self, redis: Client, root: Path, reserve: DiskReserve | None = None, *, viewer: Viewer = EVERYONE
    ) -> None:
        self._redis = redis
        self._root = root
        self._viewer = viewer
        self._reserve = reserve or DiskReserve(root, 0)

    def seen_by(self, viewer: Viewer) -> "FileStore":
        """Returns the files as one owner sees them."""
        return FileStore(self._redis, self._root, self._reserve, viewer=viewer)

    async def create(
        self, filename: str, purpose: str, stream: AsyncIterable[bytes] | Iterable[bytes], max_bytes: int
    ) -> StoredFile:
        """Streams the content to disk beside the event loop; see `upload` for the errors."""
        await asyncio.to_thread(self._check_quota)
        with self.upload(filename, purpose, max_bytes) as upload:
            if isinstance(stream, AsyncIterable):
                async for chunk in stream:
                    await asyncio.to_thread(upload.write, chunk)
            else:
                for chunk in stream:
                    await asyncio.to_thread(upload.write, chunk)
            return await asyncio.to_thread(self._keep_within_quota, upload)

    def upload(self, filename: str, purpose: str, max_bytes: int) -> "FileUpload":
        """A file to be written piece by piece: `with store.upload(…) as u: u.write(…); u.finish()`.

        Raises TooLarge as soon as the content passes `max_bytes`, EmptyInput if there is none, and
        InsufficientStorage as soon as the disk is full but for the reserve. Without `finish` nothing remains.
        """
        return FileUpload(
            self._redis, self._root, self._reserve, _clean_name(filename), purpose, max_bytes, self._viewer.owner
        )

    def check_room(self, size: int) -> None:
        """Raises InsufficientStorage if the disk, or the owner's quota, has no room for an upload of `size` bytes."""
        self._reserve.check(size)
        self._check_quota(size)

    def _check_quota(self, size: int = 1) -> None:
        limit, owner = self._viewer.max_bytes, self._viewer.owner
        used = sum(file.bytes for file in self._read_all() if file.owner == owner) if limit else 0
        if used + size > limit > 0:
            raise InsufficientStorage(f"the files of this API key may have {limit} bytes in all, and have {used}")

    def _keep_within_quota(self, upload: "FileUpload") -> StoredFile:
        """Finishes an upload. Deletes it again if it is, with others that have ended meanwhile, beyond the quota."""
        stored = upload.finish()
        try:
            self._check_quota(0)
        except InsufficientStorage:
            self.delete(stored.id)
            raise
        return stored

    def _read_all(self) -> Files:
        ids = self._redis.zrange(FILES, 0, -1)
        records = self._redis.mget([file_key(i.decode()) for i in ids]) if ids else []
        return [StoredFile.model_validate_json(record) for record in records if record is not None]

    def get(self, file_id: str) -> StoredFile:
        raw = self._redis.get(file_key(file_id))
        file = None if raw is None else StoredFile.model_validate_json(raw)
        if file is None or not self._viewer.sees(file.owner):
            raise FileNotFound(f"no file '{file_id}'")
        return file

    def path(self, file_id: str) -> Path:
        """The path of the content. Raises FileNotFound also if the content is gone from the disk."""
        path = self._root / self.get(file_id).id / "content"
        if not path.is_file():
            raise FileNotFound(f"the content of file '{file_id}' is missing on this machine")
        return path

    def list(
        self, after: str | None = None, limit: int = 100, purpose: str | None = None, order: Order = "desc"
    ) -> FilePage:
        """Returns at most `limit` files that follow `after`, and whether there are more. `desc`: newest first."""
        redis, newest_first = self._redis, order == "desc"
        rank_of, range_of = (redis.zrevrank, redis.zrevrange) if newest_first else (redis.zrank, redis.zrange)
        start = 0
        if after is not None:
            rank = rank_of(FILES, after)
            if rank is None:
                raise FileNotFound(f"no file '{after}'", param="after")
            self.get(after)  # one that is seen
            start = rank + 1
        ids = range_of(FILES, start, -1)
        records = self._redis.mget([file_key(i.decode()) for i in ids]) if ids else []
        files = [StoredFile.model_validate_json(r) for r in records if r is not None]
        found = [f for f in files if purpose in (None, f.purpose) and self._viewer.sees(f.owner)]
        return found[:limit], len(found) > limit

    def list_older(self, seconds: float) -> Ids:
        now = self._redis.time()[0]
        return [i.decode() for i in self._redis.zrangebyscore(FILES, "-inf", now - seconds)]

    def drop_unfinished(self, seconds: float) -> None:
        """Deletes uploads that nothing was added to for so long: their server was killed."""
        for folder in self._root.glob(f"{_UNFINISHED}*"):
            with contextlib.suppress(OSError):  # whole just now, or deleted
                content = folder / "content"
                if (content if content.exists() else folder).stat().st_mtime < time.time() - seconds:
                    shutil.rmtree(folder)

    def delete(self, file_id: str) -> None:
        """Conflict if a job that has not ended reads the file."""
        if not self._viewer.sees_all:
            self.get(file_id)
        with self._redis.pipeline() as pipe:
            while True:
                try:
                    pipe.watch(file_key(file_id), file_jobs_key(file_id))
                    if not pipe.exists(file_key(file_id)):
                        raise FileNotFound(f"no file '{file_id}'")
                    users = sorted(u.decode() for u in pipe.smembers(file_jobs_key(file_id)))
                    if users:
                        raise Conflict(f"file '{file_id}' is used by a job that has not ended: {', '.join(users[:5])}")
                    pipe.multi()
                    pipe.delete(file_key(file_id))
                    pipe.zrem(FILES, file_id)
                    pipe.execute()
                    break
                except WatchError:
                    continue
        shutil.rmtree(self._root / file_id, ignore_errors=True)  # what stays behind is unreferenced


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
    ) -> None:
        self._redis = redis
        self._root = root
        self._reserve = reserve
        self._filename, self._purpose, self._max_bytes = filename, purpose, max_bytes
        self._owner = owner
        self._id = f"file-{secrets.token_hex(12)}"
        self._folder = root / f"{_UNFINISHED}{self._id}"
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
