"""The entries of a .zip: limited in number before the directory is read, checked, with corrected names."""

import io
import zipfile
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any, BinaryIO

from app.datasets.reports import Reason
from app.errors import InvalidData, TooLarge

ENCRYPTED = 0x1  # flags of an entry
UTF8_NAME = 0x800
BYTES_PER_ENTRY = 256  # of the directory, with name and extra fields
LOCAL_HEADER = 30  # bytes before an entry's data, without name and extra fields
SHORTEST_ENTRY = 46
PIECE = 64 * 1024  # bytes of an entry read at once
# zipfile does not limit the output of some methods: it unpacks up to 4 KiB at once, which may give 80 MiB.
UNBOUNDED_PIECE = 4096
SIGNATURE = b"PK\x01\x02"  # of an entry in the directory
DESKTOP_FILES = {"thumbs.db", "desktop.ini"}


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """One file of an archive. `reason` is the reason to skip it, or None."""

    info: zipfile.ZipInfo
    name: str  # with the separators of the tool that wrote it
    path: str  # the name with `/`
    reason: Reason | None


def open_zip(file: BinaryIO, filename: str, most: int) -> zipfile.ZipFile:
    """Opens an archive. Raises TooLarge for far more than `most` entries, which take a kilobyte of memory each."""
    size = _directory_size(file)
    too_many = size > most * BYTES_PER_ENTRY
    if not too_many and size > most * SHORTEST_ENTRY:
        # The directory is followed by records of 98 bytes and a comment.
        file.seek(max(0, file.seek(0, io.SEEK_END) - size - 65_536 - 98))
        too_many = file.read().count(SIGNATURE) > 2 * most  # folders included
    if too_many:
        raise TooLarge(f"{filename}: more than {most} entries")
    file.seek(0)
    return zipfile.ZipFile(file)


def read_entries(archive: zipfile.ZipFile, filename: str, most: int) -> list[ZipEntry]:
    """Reads the entries of an archive, sorted by path, without folders.

    Raises TooLarge for more than `most` entries, and InvalidData for overlapping ones, as in decompression bombs.
    """
    infos = archive.infolist()
    _check_overlaps(infos, filename)
    entries = []
    for info in infos:
        name = replace_invalid_characters(_decode_name(info))
        path = normalize_separators(name)
        if not path.endswith("/"):
            entries.append(ZipEntry(info, name, path, _check_type(info) or check_path(path)))
    if len(entries) > most:
        raise TooLarge(f"{filename}: more than {most} entries")
    return sorted(entries, key=lambda entry: entry.path)


def read_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Reads the content of an entry, at most its `file_size`."""
    with open_entry(archive, info) as content:
        return content.read()


def open_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> io.RawIOBase:
    """Opens the content of an entry as a stream of at most its `file_size`. Its memory is bounded."""
    bounded = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    return _EntryStream(archive.open(info), PIECE if bounded else UNBOUNDED_PIECE)


class _EntryStream(io.RawIOBase):
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


def replace_invalid_characters(name: str) -> str:
    """Replaces undecodable bytes of a name by U+FFFD."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def normalize_separators(name: str) -> str:
    """Replaces the backslashes of Windows tools by `/`."""
    return name.replace("\\", "/")


def check_path(path: str) -> Reason | None:
    """Returns the reason to skip a file because of its path, or None."""
    parsed = PurePosixPath(path)
    has_drive = path[1:3] == ":/" and path[0].isalpha()
    if parsed.is_absolute() or has_drive or ".." in parsed.parts or "\0" in path or not parsed.name:
        return Reason.UNSAFE_NAME
    return Reason.HIDDEN if is_hidden(path) else None


def is_hidden(path: str) -> bool:
    """Tells whether a file is hidden, or was added by an operating system."""
    parts = PurePosixPath(path).parts
    return any(part.startswith((".", "__MACOSX")) for part in parts) or parts[-1].lower() in DESKTOP_FILES


def _decode_name(info: zipfile.ZipInfo) -> str:
    """Decodes a name as UTF-8. Many tools do not set the flag for it, so zipfile decodes code page 437."""
    if not info.flag_bits & UTF8_NAME:
        try:
            return info.filename.encode("cp437").decode("utf-8")
        except UnicodeError:
            pass
    return info.filename


def _check_type(info: zipfile.ZipInfo) -> Reason | None:
    """Returns the reason to skip an entry because of its type, or None."""
    if info.flag_bits & ENCRYPTED:
        return Reason.ENCRYPTED
    mode = info.external_attr >> 28  # the Unix file type, if any: 10 is a link, 8 a regular file
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
    """Returns the size in bytes of a zip's directory, which zipfile reads whole, from the record at the file's end."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - 65_536 - 22 - 76))
    tail = file.read()
    # Like zipfile: the record is at the very end if it has no comment, else it is the last one found.
    plain = tail[-22:].startswith(b"PK\x05\x06") and tail.endswith(b"\0\0")
    at = len(tail) - 22 if plain else tail.rfind(b"PK\x05\x06")
    if at < 0:
        raise zipfile.BadZipFile("no directory at its end")
    declared = int.from_bytes(tail[at + 12 : at + 16], "little")
    if tail[max(0, at - 76) :].startswith(b"PK\x06\x06"):  # zip64
        declared = int.from_bytes(tail[at - 76 + 40 : at - 76 + 48], "little")
    return declared
