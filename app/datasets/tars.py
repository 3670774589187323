"""The members of a .tar as a stream. The size of headers is checked before tarfile reads them."""

import io
import tarfile
from collections.abc import Iterator
from typing import IO, Self

from app.datasets.sources import Budget, Refusal
from app.errors import TooLarge

HEADER = 8192  # bytes of one extended header: a path has at most 4096
HEADERS = 64 * 1024  # of one member, all headers together
GLOBAL_FIELDS = 1000  # each is copied for every member
EXTENDED = {
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
}


def read_tar(
    stream: IO[bytes], filename: str, budget: Budget, most: int
) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """Yields (archive, entry) for each member. Read a member before you request the next one.

    Raises TooLarge for more than `most` members, and Refusal for headers that are too long.
    """
    metered = _Metered(stream, budget)
    metered.grant(HEADERS)
    count = 0
    with tarfile.open(fileobj=metered, mode="r|", tarinfo=_BoundedInfo) as archive:
        while (entry := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # tarfile would keep every member
            count += 1
            if count > most:
                raise TooLarge(f"{filename}: more than {most} entries")
            if len(archive.pax_headers) > GLOBAL_FIELDS:
                raise _long_headers()
            metered.grant(entry.size + HEADERS)
            yield archive, entry


def _long_headers() -> Refusal:
    return Refusal(f"a member has headers longer than the limit of {HEADER // 1024} KiB")


class _BoundedInfo(tarfile.TarInfo):
    """A member whose extended headers are checked before they are read.

    Before Python 3.11.10 and 3.12.6, reading them takes time quadratic in their length (CVE-2024-6232).
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        info = super().frombuf(buf, encoding, errors)
        if info.type in EXTENDED and info.size > HEADER:
            raise _long_headers()
        return info


class _Metered(io.RawIOBase):
    """A stream that allows reading only the granted number of bytes. Without it, a tar's headers have no limit."""

    def __init__(self, stream: IO[bytes], budget: Budget) -> None:
        self._stream, self._budget, self._granted = stream, budget, 0

    def grant(self, count: int) -> None:
        self._granted = count + tarfile.RECORDSIZE

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        self._budget.spend(len(data))
        self._granted -= len(data)
        if self._granted < 0:
            raise _long_headers()
        return data
