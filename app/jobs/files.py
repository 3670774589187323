"""Uploaded files: content on disk, records in Redis.

Content is at `<root>/<id>/content`. Files of the same bytes share them on the disk as hard links, so each may be
deleted on its own. A folder without a record is an upload that was cut off
before it was acknowledged, or the rest of a deletion; nothing refers to it.

With a bucket, the content is also the object `files/<id>`, and the folder has the copies of this machine.
"""

import asyncio
import contextlib
import secrets
import shutil
import time
from collections.abc import AsyncIterable, Iterable
from pathlib import Path
from typing import Literal, TypeAlias

from redis.exceptions import WatchError

from app.errors import Conflict, FileNotFound, InsufficientStorage, NotReady
from app.jobs.connection import Client
from app.jobs.file_upload import UNFINISHED, FileUpload
from app.jobs.indexes import FILES, file_jobs_key, file_key
from app.jobs.shared_files import SharedFiles
from app.jobs.spec import StoredFile
from app.jobs.viewer import EVERYONE, Viewer
from app.system.disk_space import DiskReserve

_DAY = 24 * 3600.0  # seconds

Ids: TypeAlias = list[str]
Order: TypeAlias = Literal["asc", "desc"]
Files: TypeAlias = list[StoredFile]  # the method `list` hides the builtin
FilePage: TypeAlias = tuple[list[StoredFile], bool]


class FileStore:
    """reserve: free disk space that uploads leave alone; None: none. viewer: whose files it finds and makes.

    shared: the bucket that several machines share; None: the content is in the folder only.
    """

    def __init__(
        self,
        redis: Client,
        root: Path,
        reserve: DiskReserve | None = None,
        *,
        viewer: Viewer = EVERYONE,
        shared: SharedFiles | None = None,
    ) -> None:
        self._redis = redis
        self._root = root
        self._viewer = viewer
        self._reserve = reserve or DiskReserve(root, 0)
        self._shared = shared

    def seen_by(self, viewer: Viewer) -> "FileStore":
        """Returns the files as one owner sees them."""
        return FileStore(self._redis, self._root, self._reserve, viewer=viewer, shared=self._shared)

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

    def upload(self, filename: str, purpose: str, max_bytes: int) -> FileUpload:
        """A file to be written piece by piece: `with store.upload(…) as u: u.write(…); u.finish()`.

        Raises TooLarge as soon as the content passes `max_bytes`, EmptyInput if there is none, and
        InsufficientStorage as soon as the disk is full but for the reserve. Without `finish` nothing remains.
        """
        owner = self._viewer.owner
        return FileUpload(self._redis, self._root, self._reserve, filename, purpose, max_bytes, owner, self._shared)

    def check_room(self, size: int) -> None:
        """Raises InsufficientStorage if the disk, or the owner's quota, has no room for an upload of `size` bytes."""
        self._reserve.check(size)
        self._check_quota(size)

    def _check_quota(self, size: int = 1) -> None:
        limit, owner = self._viewer.max_bytes, self._viewer.owner
        used = sum(file.bytes for file in self._read_all() if file.owner == owner) if limit else 0
        if used + size > limit > 0:
            raise InsufficientStorage(f"the files of this API key have {used} bytes, and may have {limit} in all")

    def _keep_within_quota(self, upload: FileUpload) -> StoredFile:
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
        """The path of the content. Raises FileNotFound also if the content is gone.

        With a bucket, content that is not on this machine is downloaded: not for an event loop. That raises
        InsufficientStorage, and NotReady.
        """
        stored = self.get(file_id)
        path = self._root / stored.id / "content"
        if self._shared is not None and not path.is_file():
            self._reserve.check(stored.bytes)
            self._drop_forgotten(_DAY)
            self._shared.fetch(stored, self._root, aside=f"{UNFINISHED}{secrets.token_hex(12)}")
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
        for folder in self._root.glob(f"{UNFINISHED}*"):
            with contextlib.suppress(OSError):  # whole just now, or deleted
                content = folder / "content"
                if (content if content.exists() else folder).stat().st_mtime < time.time() - seconds:
                    shutil.rmtree(folder)
        if self._shared is not None:
            self._drop_forgotten(seconds)
            self._shared.drop_older(seconds, self._is_recorded)

    def _drop_forgotten(self, seconds: float) -> None:
        """Deletes this machine's copies of files that were deleted through another machine."""
        for folder in self._root.glob("file-*"):
            with contextlib.suppress(OSError):
                if folder.stat().st_mtime < time.time() - seconds and not self._is_recorded(folder.name):
                    shutil.rmtree(folder)

    def _is_recorded(self, file_id: str) -> bool:
        """Whether a file is known. True for a name that is not an id, so that files of others are not deleted."""
        try:
            return bool(self._redis.exists(file_key(file_id)))
        except FileNotFound:
            return True

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
        if self._shared is not None:
            with contextlib.suppress(NotReady):  # `drop_unfinished` deletes it later
                self._shared.delete(file_id)
