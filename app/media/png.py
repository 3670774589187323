"""The chunks of a PNG file, and which of them its picture needs."""

import zlib
from collections.abc import Iterator
from typing import NamedTuple

SIGNATURE = b"\x89PNG\r\n\x1a\n"
ANIMATION = b"acTL"
# Beside the critical chunks: transparency and the frames of an animation.
SHOWN = {b"tRNS", ANIMATION, b"fcTL", b"fdAT"}
ORIENTATION = b"eXIf"


class Chunk(NamedTuple):
    """A chunk with its length, name, content and checksum, `data[start:end]`."""

    name: bytes
    start: int
    end: int


def read_chunks(data: bytes) -> Iterator[Chunk]:
    """Walks over the chunks up to the end of the data; the last one may be cut off."""
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4])
        yield Chunk(data[at + 4 : at + 8], at, end)
        at = end


def frame_count(data: bytes) -> int:
    """How many frames the animation has; 1 for a still picture."""
    for chunk in read_chunks(data):
        if chunk.name == ANIMATION:
            return max(1, int.from_bytes(data[chunk.start + 8 : chunk.start + 12]))
        if chunk.name == b"IDAT":
            break
    return 1


def grey_step(data: bytes) -> int:
    """How far apart two grey levels of 2 or 4 bits are in Pillow's 8 bits, where a transparent one is left unscaled."""
    bits, colour_type = data[24:26]
    return 255 // (2**bits - 1) if colour_type == 0 and bits in (2, 4) else 1


def strip_chunks(data: bytes) -> bytes:
    """The file without the chunks that its picture does not need, such as texts and colour profiles.

    The specification lets a decoder ignore a wrong checksum of these, and libpng and browsers do; Pillow
    refuses the file. Of the ancillary chunks that are kept, wrong checksums are corrected.
    """
    parts, kept_to, changed = [data[: len(SIGNATURE)]], len(SIGNATURE), False
    for name, start, end in read_chunks(data):
        kept, repair = name[:1].isupper() or name in SHOWN, b""
        if name in SHOWN or name == ORIENTATION:
            right = zlib.crc32(data[start + 4 : end - 4]).to_bytes(4)
            if end <= len(data) and right != data[end - 4 : end]:
                repair = right if name in SHOWN else b""
            else:
                kept = True
        if kept and not repair:
            continue
        changed = True
        parts += [data[kept_to:start], data[start : end - 4] + repair if kept else b""]
        kept_to = end
    return b"".join([*parts, data[kept_to:]]) if changed else data
