"""A bucket, or the part of it below a prefix, through obstore.

Every write is atomic: a reader sees the whole object or none. A write may depend on the object that it replaces, which
is how processes that share nothing else agree.
"""

import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from app.errors import NotReady

_RETRIES = {"max_retries": 4, "retry_timeout": timedelta(seconds=30)}
# A transfer may take hours. One that stalls ends by the time between two reads.
_CLIENT = {"connect_timeout": timedelta(seconds=5), "read_timeout": timedelta(seconds=30), "timeout": timedelta(days=1)}
_CHUNK = 8 * 2**20  # bytes of a part of a multipart upload
_MAX_PARTS = 9_000  # S3 allows 10,000
_QUERY = re.compile(r"\?\S*")  # of addresses in errors: it may hold a signature


@dataclass(frozen=True)
class StoredObject:
    """modified: Unix seconds. tag: changes with the content; the condition of a replacement."""

    key: str
    size: int
    modified: float
    tag: Mapping[str, str]


class Bucket:
    """Thread-safe. Raises NotReady, which names the setting, where the bucket does not answer.

    store: an object store of obstore. url: its address. setting: the name of the setting that has it.
    """

    def __init__(self, store: Any, url: str, setting: str) -> None:
        self._store, self.url, self._setting = store, url, setting

    def check(self) -> None:
        """Proves that objects can be written, and that a second creation is refused. Raises NotReady."""
        key = f"probe-{secrets.token_hex(8)}"
        if not self.create(key, b""):
            raise NotReady(f"{self._setting}: {self.url} refuses to create an object")
        again = self.create(key, b"")
        self.delete([key])
        if again:
            raise NotReady(
                f"{self._setting}: the server of {self.url} ignores conditional writes (If-None-Match), so that two"
                " publications could overwrite each other; use a server that has them"
            )

    def read(self, key: str) -> tuple[bytes, StoredObject] | None:
        """Returns the content of an object, or None if it does not exist."""
        with self._errors():
            try:
                result = self._store.get(key)
            except FileNotFoundError:
                return None
            return bytes(result.bytes()), _describe(result.meta)

    def download(self, key: str, piece: int) -> Iterator[bytes]:
        """Yields the content of an object in pieces of at least `piece` bytes, but for the last."""
        with self._errors():
            for content in self._store.get(key).stream(min_chunk_size=piece):
                yield bytes(content)

    def find(self, key: str) -> StoredObject | None:
        with self._errors():
            try:
                return _describe(self._store.head(key))
            except FileNotFoundError:
                return None

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Yields all objects below a folder, in no order."""
        with self._errors():
            for page in self._store.list(prefix):
                yield from map(_describe, page)

    def write(self, key: str, content: bytes) -> None:
        self._put(key, content, "overwrite")

    def create(self, key: str, content: bytes) -> bool:
        """Writes an object that does not exist. Returns False if it does.

        Also False if the answer to a write was lost and the repetition met the object that it had made.
        """
        from obstore.exceptions import AlreadyExistsError

        try:
            self._put(key, content, "create")
        except AlreadyExistsError:
            return False
        return True

    def replace(self, key: str, content: bytes, expected: StoredObject | None) -> bool:
        """Writes an object unless it is another one than `expected` by now; None: unless it exists.

        Returns whether it was written.
        """
        if expected is None:
            return self.create(key, content)
        from obstore.exceptions import PreconditionError

        try:
            self._put(key, content, dict(expected.tag))
        except (PreconditionError, FileNotFoundError):
            return False
        return True

    def upload(self, key: str, file: Path) -> None:
        """Streams a file into an object, in parts if it is large."""
        size = file.stat().st_size
        with self._errors():
            self._store.put(key, file, chunk_size=max(_CHUNK, size // _MAX_PARTS), max_concurrency=4)

    def delete(self, keys: Iterable[str]) -> None:
        """Deletes objects. Those that do not exist are ignored."""
        with self._errors():
            for key in keys:
                try:
                    self._store.delete(key)
                except FileNotFoundError:
                    continue

    def _put(self, key: str, content: bytes, mode: Any) -> None:
        with self._errors():
            self._store.put(key, content, mode=mode, use_multipart=False)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turns errors of the server into NotReady, but for those that answer a condition."""
        from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

        try:
            yield
        except (AlreadyExistsError, PreconditionError):
            raise
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise NotReady(f"{self._setting}: the bucket of {self.url} does not exist") from error
            raise
        except (BaseError, OSError) as error:
            reason = _QUERY.sub("", str(error).partition("\n")[0])
            raise NotReady(f"{self._setting}: {self.url} does not answer as expected: {reason}") from error


def open_bucket(url: str, setting: str) -> Bucket:
    """Opens s3://, gs://, az:// or file:// with the credentials and the endpoint of the environment. Sends no request.

    Raises NotReady without the extra `s3`, and for an address or a variable that cannot be used.
    """
    try:
        from obstore.exceptions import BaseError
        from obstore.store import LocalStore, from_url
    except ImportError as error:
        raise NotReady(f"{setting}={url} needs the extra s3: pip install 'cloze[s3]'") from error
    if url.startswith("file://"):
        return Bucket(LocalStore(unquote(urlsplit(url).path), mkdir=True), url, setting)
    client: dict[str, Any] = dict(_CLIENT)
    if any(value.startswith("http://") for name, value in os.environ.items() if name.startswith("AWS_ENDPOINT")):
        client["allow_http"] = True  # named by the operator, such as a server of the own network
    try:
        store = from_url(url, client_options=client, retry_config=_RETRIES)  # type: ignore[call-overload]
    except (BaseError, ValueError) as error:
        raise NotReady(f"{setting}={url}: {str(error).partition(chr(10))[0]}") from error
    return Bucket(store, url, setting)


def _describe(meta: Mapping[str, Any]) -> StoredObject:
    tag = {field: str(value) for field in ("e_tag", "version") if (value := meta.get(field)) is not None}
    return StoredObject(meta["path"], meta["size"], meta["last_modified"].timestamp(), tag)
