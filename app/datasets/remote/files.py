"""Remote files of any scheme: found and pinned when a job is created, and read as they were then."""

import re
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from app.datasets.remote.http import open_range
from app.datasets.remote.hub import find_hub_file, open_hub_file
from app.datasets.remote.s3 import find_s3_object, open_s3_object
from app.errors import EmptyInput, Forbidden, InvalidData, TooLarge
from app.system.remote_access import RemoteAccess
from app.types import RemoteFile

MAX_ADDRESS = 2048  # characters
_SCHEME = re.compile(r"(hf|https?|s3)://", re.ASCII)


class RemoteStream(Protocol):
    """The content of a remote file from an offset on. `read` returns no bytes at the end."""

    @property
    def size(self) -> int: ...
    @property
    def etag(self) -> str | None: ...
    @property
    def modified(self) -> str | None: ...
    def read(self, count: int) -> bytes: ...
    def close(self) -> None: ...


def is_remote(name: str) -> bool:
    """Tells whether the name of a training file is an address."""
    return _SCHEME.match(name) is not None


def find_remote(address: str, access: RemoteAccess, **options: Any) -> RemoteFile:
    """Finds a file, and pins its version, size and, if its server tells it, digest.

    options: of `open_range`, replaced in tests.

    Raises:
        InvalidValue, Forbidden: The address is wrong, or not allowed.
        FileNotFound, EmptyInput, TooLarge, InvalidData: There is no such file, or not one that can be read.
        NotReady: Its server cannot be reached.
    """
    if address.startswith("hf:"):
        found = find_hub_file(address, access, **options)
    elif address.startswith("s3:"):
        found = find_s3_object(address, access, **options)
    else:
        found = _find_http(address, access, **options)
    if not found.bytes:
        raise EmptyInput(f"{address} is empty")
    if access.max_bytes is not None and found.bytes > access.max_bytes:
        raise TooLarge(f"{address} has {found.bytes:,} bytes; CLOZE_MAX_FILE_BYTES allows {access.max_bytes:,}")
    return found


def open_remote(file: RemoteFile, offset: int, access: RemoteAccess, **options: Any) -> RemoteStream:
    """Opens a file at an offset. Raises InvalidData if it has changed since it was found, and as `find_remote` does."""
    if file.address.startswith("hf:"):
        stream: RemoteStream = open_hub_file(file, offset, access, **options)
    elif file.address.startswith("s3:"):
        stream = open_s3_object(file, offset, access, **options)
    else:
        _check_hosts(access)
        stream = open_range(file.address, offset, access.http_rule, **options)
    try:
        _check_unchanged(file, stream)
    except BaseException:
        stream.close()
        raise
    return stream


def _find_http(address: str, access: RemoteAccess, **options: Any) -> RemoteFile:
    _check_hosts(access)
    with open_range(address, 0, access.http_rule, **options) as stream:
        name = unquote(urlsplit(address).path).rpartition("/")[2]
        return RemoteFile(
            address=address,
            filename=name or "remote",
            bytes=stream.size,
            etag=stream.etag,
            modified=stream.modified,
        )


def _check_hosts(access: RemoteAccess) -> None:
    if not access.hosts:
        raise Forbidden("jobs of this server read no files of other servers; CLOZE_DATA_HOSTS lists allowed hosts")


def _check_unchanged(file: RemoteFile, stream: RemoteStream) -> None:
    facts = [("size", file.bytes, stream.size)]
    if not file.revision:  # the hub's commits do not change, and its storage has ETags of its own
        facts += [("ETag", file.etag, stream.etag)]  # type: ignore[list-item]
        if file.etag is None:
            facts += [("time of change", file.modified, stream.modified)]  # type: ignore[list-item]
    for what, before, now in facts:
        if before is not None and before != now:
            raise InvalidData(
                f"{file.address} has changed since the job was created: its {what} was {before}, and is {now};"
                " create a new job to train on the new content"
            )
