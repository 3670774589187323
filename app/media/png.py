"""The chunks of a PNG file."""

import zlib
from collections.abc import Iterator
from typing import NamedTuple

SIGNATURE = b"\x89PNG\r\n\x1a\n"
ANIMATION = b"acTL"
# Ancillary chunks that affect the picture: transparency and the frames of an animation.
SHOWN = {b"tRNS", ANIMATION, b"fcTL", b"fdAT"}
ORIENTATION = b"eXIf"


class PngChunk(NamedTuple):
    """A chunk. `data[start:end]` is its length, name, content and checksum."""

    name: bytes
    start: int
    end: int


def read_chunks(data: bytes) -> Iterator[PngChunk]:
    """Yields the chunks of a file. The last one may be cut off."""
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4])
        yield PngChunk(data[at + 4 : at + 8], at, end)
        at = end


def frame_count(data: bytes) -> int:
    """Returns the number of frames of an animation, 1 for a still picture."""
    for chunk in read_chunks(data):
        if chunk.name == ANIMATION:
            return max(1, int.from_bytes(data[chunk.start + 8 : chunk.start + 12]))
        if chunk.name == b"IDAT":
            break
    return 1


def grey_step(data: bytes) -> int:
    """Returns the step between grey levels of 2 or 4 bits in Pillow's 8 bits.

    Pillow scales the pixels but not the transparent grey level; this is the factor that corrects it.
    """
    bits, colour_type = data[24:26]
    return 255 // (2**bits - 1) if colour_type == 0 and bits in (2, 4) else 1


def strip_chunks(data: bytes) -> bytes:
    """Removes the chunks that the picture does not need, such as texts and colour profiles.

    Pillow rejects a file with a wrong checksum in any chunk. The specification allows decoders to ignore it in
    ancillary chunks, as libpng and browsers do. Wrong checksums of the ancillary chunks that stay are corrected.
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
