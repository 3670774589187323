"""The directory of a .zip: bounded before it is read, checked, and with names as they were meant."""

import io
import zipfile
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any, BinaryIO

from app.datasets.reports import Reason
from app.errors import InvalidData, TooLarge

ENCRYPTED = 0x1  # flags of an entry
UTF8_NAME = 0x800
BYTES_AN_ENTRY = 256  # of the directory, name and extra fields included
LOCAL_HEADER = 30  # bytes before an entry's data, name and extra fields not included
SHORTEST_ENTRY = 46
PIECE = 64 * 1024  # bytes of an entry that are read at once
# As many packed bytes are unpacked at once by methods for which zipfile has no bound: 4 KiB may give 80 MiB.
UNBOUNDED_PIECE = 4096
SIGNATURE = b"PK\x01\x02"  # of an entry in the directory
DESKTOP_FILES = {"thumbs.db", "desktop.ini"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an archive; `reason` says why it is left out, if it is."""

    info: zipfile.ZipInfo
    name: str  # as its tool wrote it
    path: str  # inside of the archive, with `/`
    reason: Reason | None


def open_zip(file: BinaryIO, filename: str, most: int) -> zipfile.ZipFile:
    """Raises TooLarge where there are far more than `most` entries: each takes a kilobyte of memory."""
    size = _directory_size(file)
    too_many = size > most * BYTES_AN_ENTRY
    if not too_many and size > most * SHORTEST_ENTRY:
        # The directory lies before the records at the end, which take 98 bytes and a comment.
        file.seek(max(0, file.seek(0, io.SEEK_END) - size - 65_536 - 98))
        too_many = file.read().count(SIGNATURE) > 2 * most  # folders included
    if too_many:
        raise TooLarge(f"{filename}: more than {most} entries")
    file.seek(0)
    return zipfile.ZipFile(file)


def read_entries(archive: zipfile.ZipFile, filename: str, most: int) -> list[Entry]:
    """The files of an archive, sorted by name.

    Raises TooLarge for more than `most`, and InvalidData where some overlap, as a bomb's do.
    """
    infos = archive.infolist()
    _check_overlaps(infos, filename)
    entries = []
    for info in infos:
        name = readable(_meant_name(info))
        path = path_of(name)
        if not path.endswith("/"):
            entries.append(Entry(info, name, path, _reason(info) or name_reason(path)))
    if len(entries) > most:
        raise TooLarge(f"{filename}: more than {most} entries")
    return sorted(entries, key=lambda entry: entry.path)


def read_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The content of an entry, at most its `file_size`."""
    with open_entry(archive, info) as content:
        return content.read()


def open_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> io.RawIOBase:
    """The content of an entry as a stream, at most its `file_size`; memory is bounded whatever is packed."""
    bounded = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    return _Entry(archive.open(info), PIECE if bounded else UNBOUNDED_PIECE)


class _Entry(io.RawIOBase):
    def __init__(self, content: IO[bytes], piece: int) -> None:
        self._content, self._piece = content, piece

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        data = self._content.read(min(len(buffer), self._piece))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._content.close()
        super().close()


def readable(name: str) -> str:
    """A name without bytes that are no characters."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def path_of(name: str) -> str:
    """A name with `/` for the separators that Windows tools write."""
    return name.replace("\\", "/")


def name_reason(path: str) -> Reason | None:
    """Why a file is left out by its name, if it is."""
    parsed = PurePosixPath(path)
    drive = path[1:3] == ":/" and path[0].isalpha()
    if parsed.is_absolute() or drive or ".." in parsed.parts or "\0" in path or not parsed.name:
        return Reason.UNSAFE_NAME
    return Reason.HIDDEN if is_hidden(path) else None


def is_hidden(path: str) -> bool:
    """Whether an operating system has left the file, and not its owner."""
    parts = PurePosixPath(path).parts
    return any(part.startswith((".", "__MACOSX")) for part in parts) or parts[-1].lower() in DESKTOP_FILES


def _meant_name(info: zipfile.ZipInfo) -> str:
    """Many tools write UTF-8 without the flag that says so, which zipfile takes to be code page 437."""
    if not info.flag_bits & UTF8_NAME:
        try:
            return info.filename.encode("cp437").decode("utf-8")
        except UnicodeError:
            pass
    return info.filename


def _reason(info: zipfile.ZipInfo) -> Reason | None:
    if info.flag_bits & ENCRYPTED:
        return Reason.ENCRYPTED
    mode = info.external_attr >> 28  # the kind of file where Unix made it: 10 is a link, 8 a file
    if mode in (0, 8):
        return None
    return Reason.LINK if mode == 10 else Reason.SPECIAL


def _check_overlaps(infos: list[zipfile.ZipInfo], filename: str) -> None:
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise InvalidData(f"{filename}: entries of the archive overlap: it is damaged or a decompression bomb")
        end = info.header_offset + LOCAL_HEADER + info.compress_size


def _directory_size(file: BinaryIO) -> int:
    """Bytes of a zip's directory, which zipfile reads whole: known only from the record at the file's end."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - 65_536 - 22 - 76))
    tail = file.read()
    # As zipfile does it: at the very end where there is no comment behind it, else the last that is found.
    plain = tail[-22:].startswith(b"PK\x05\x06") and tail.endswith(b"\0\0")
    at = len(tail) - 22 if plain else tail.rfind(b"PK\x05\x06")
    if at < 0:
        raise zipfile.BadZipFile("no directory at its end")
    declared = int.from_bytes(tail[at + 12 : at + 16], "little")
    if tail[max(0, at - 76) :].startswith(b"PK\x06\x06"):  # of more than 4 GiB
        declared = int.from_bytes(tail[at - 76 + 40 : at - 76 + 48], "little")
    return declared
