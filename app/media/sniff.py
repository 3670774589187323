"""Detection of a file's format from its first bytes, never from its name."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.errors import AppError, InvalidData, TooLarge
from app.media.limits import DEFAULT_LIMITS, Limits
from app.media.png import frame_count
from app.types import ModalityName


@dataclass(frozen=True, slots=True)
class Kind:
    """A file format.

    name: shown to users, and the key of the decoders. modality: None for a known format that is not supported.
    """

    name: str
    modality: ModalityName | None


JPEG, PNG, WEBP, GIF, BMP, TIFF = (Kind(n, ModalityName.IMAGE) for n in ("JPEG", "PNG", "WebP", "GIF", "BMP", "TIFF"))
WAV, FLAC, OGG, MP3 = (Kind(n, ModalityName.AUDIO) for n in ("WAV", "FLAC", "Ogg", "MP3"))
M4A, AAC, WEBM_AUDIO = (Kind(n, ModalityName.AUDIO) for n in ("M4A", "AAC", "WebM audio"))
MP4, WEBM = (Kind(n, ModalityName.VIDEO) for n in ("MP4", "WebM"))
ANIMATED_GIF, ANIMATED_WEBP, ANIMATED_PNG = (Kind(f"animated {n}", ModalityName.VIDEO) for n in ("GIF", "WebP", "PNG"))
ACCEPTED = {
    modality: [kind.name for kind in kinds]
    for modality, kinds in {
        ModalityName.IMAGE: (JPEG, PNG, WEBP, GIF, BMP, TIFF),
        ModalityName.AUDIO: (WAV, FLAC, OGG, MP3, M4A, AAC, WEBM_AUDIO),
        ModalityName.VIDEO: (MP4, WEBM, ANIMATED_GIF, ANIMATED_WEBP, ANIMATED_PNG),
    }.items()
}
ARTICLES = {ModalityName.IMAGE: "an image", ModalityName.AUDIO: "audio", ModalityName.VIDEO: "a video"}

# Signs of Python objects, memory addresses, types, bytes and error numbers in messages of other libraries.
PYTHON = re.compile(
    r"<|>|0x[0-9a-f]{4}|\bb['\"]|NoneType|\b(?:object|tuple|int|str)\b|bytes-like|unpack|Error number|decoder error"
)

HEAD = 64 * 1024  # bytes in which a header is searched


def sniff(data: bytes) -> Kind | None:
    """Detects the format of a file. Returns None for an unknown format, such as plain text."""
    if tags := tags_length(data):
        found = _by_magic(data[tags : tags + HEAD])
        return found if found and found.modality is ModalityName.AUDIO else MP3
    return _by_magic(data)


def tags_length(data: bytes) -> int:
    """Returns the length of the ID3v2 tags at the start of the data. Several audio formats may follow them."""
    at = 0
    while data.startswith(b"ID3", at) and len(data) >= at + 10:
        size = 0
        for byte in data[at + 6 : at + 10]:
            size = size << 7 | byte & 0x7F
        footer = 10 if data[at + 5] & 0x10 else 0
        at += 10 + size + footer
    return min(at, len(data))


def _by_magic(data: bytes) -> Kind | None:
    for offset, magic, kind in MAGIC:
        if data.startswith(magic, offset):
            found = kind(data) if callable(kind) else kind
            if found is not None:
                return found
    return _mpeg_audio(data)


def modality_of(data: bytes) -> ModalityName | None:
    """Returns the modality of a file; None if its format is not supported."""
    kind = sniff(data)
    return kind.modality if kind else None


def expect(data: bytes, modality: ModalityName, limits: Limits = DEFAULT_LIMITS) -> Kind:
    """Detects the format of a file and checks its modality and size. Raises InvalidData and TooLarge."""
    if len(data) > limits.max_bytes:
        raise TooLarge(f"the file has {len(data)} bytes; the limit is {limits.max_bytes}")
    kind = sniff(data)
    if kind is None or kind.modality != modality:
        accepted = ", ".join(ACCEPTED[modality])
        raise InvalidData(f"expected {ARTICLES[modality]} ({accepted}), found {describe(data, kind)}")
    return kind


@contextmanager
def decoder_errors(kind: Kind) -> Iterator[None]:
    """Converts every exception of a decoder to InvalidData. Put only calls of decoders inside.

    Decoders raise many exceptions for broken files (Pillow alone SyntaxError, struct.error, IndexError, EOFError,
    zlib.error and more), so no list of them would be complete. AppErrors pass through.
    """
    try:
        yield
    except AppError:
        raise
    except MemoryError as e:  # FFmpeg raises it for absurd headers
        raise TooLarge(f"the {kind.name} file needs more memory than is available") from e
    except Exception as e:
        raise InvalidData(f"the {kind.name} file is broken or cut off ({clean_reason(e)})") from e


def clean_reason(error: Exception) -> str:
    """Returns a decoder's message if users can understand it, else a general one."""
    if isinstance(error, NotImplementedError) or "patches welcome" in str(error):
        return "it uses a feature that is not supported"
    reason = getattr(error, "strerror", None) or str(error)
    # Messages of other exceptions, such as IndexError and struct.error, describe the decoder's code.
    if not isinstance(error, (OSError, ValueError, SyntaxError, EOFError)) or not reason or PYTHON.search(reason):
        return "its structure is damaged"
    return str(reason)


def describe(data: bytes, kind: Kind | None) -> str:
    """Describes a file for an error message. `kind` is the result of `sniff`."""
    if kind is not None:
        return f"{kind.name}"
    if not data:
        return "an empty file"
    try:
        data[:1024].decode("utf-8")
    except UnicodeDecodeError as e:
        if e.start < len(data[:1024]) - 3:  # else the cut has split a character
            return f"unknown bytes ({data[:8].hex(' ')} …)"
    return "unknown bytes" if b"\0" in data[:1024] else "text"


def _png(data: bytes) -> Kind:
    return ANIMATED_PNG if frame_count(data) > 1 else PNG


def _gif(data: bytes) -> Kind:
    """Walks over the blocks of a GIF. It is animated if it has a second picture."""

    def color_table_size(flags: int) -> int:
        return 3 << ((flags & 7) + 1) if flags & 0x80 else 0

    pictures, at = 0, 13 + color_table_size(data[10] if len(data) > 10 else 0)
    while at + 10 < len(data) and data[at] in b"!,":
        if data[at] == ord(","):
            pictures += 1
            if pictures == 2:
                return ANIMATED_GIF
            at += 11 + color_table_size(data[at + 9])  # 11: the descriptor and the byte of the code size
        else:
            at += 2
        while at < len(data) and data[at]:  # sub-blocks; each starts with its length
            at += 1 + data[at]
        at += 1
    return GIF


def _riff(data: bytes) -> Kind | None:
    form = data[8:12]
    if form == b"WEBP":
        return ANIMATED_WEBP if _is_animated_webp(data) else WEBP
    return WAV if form == b"WAVE" else None


def _is_animated_webp(webp: bytes) -> bool:
    """Tells whether a WebP has two frames or more. The animation flag alone may be set for a single frame."""
    frames, at = 0, 12
    while at + 8 <= len(webp) and frames < 2:
        frames += webp[at : at + 4] == b"ANMF"
        size = int.from_bytes(webp[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
    return frames > 1


def _bmp(data: bytes) -> Kind | None:
    # Two letters are a weak signature, so the size of the header is checked too.
    return BMP if int.from_bytes(data[14:18], "little") in (12, 40, 52, 56, 64, 108, 124) else None


def _ogg(data: bytes) -> Kind | None:
    first_page = data[:128]
    return OGG if any(codec in first_page for codec in (b"\x01vorbis", b"OpusHead", b"\x7fFLAC", b"Speex")) else None


def _iso(data: bytes) -> Kind:
    """Detects MP4 and related formats by their tracks, or by their brand if no track is found."""
    if data[8:12] in (b"avif", b"avis", b"heic", b"heix", b"hevc", b"mif1", b"msf1"):
        return Kind("HEIC or AVIF", None)
    handlers = {m.group(1) for m in re.finditer(rb"hdlr.{8}(vide|soun)", data, re.DOTALL)}
    if b"vide" in handlers:
        return MP4
    return M4A if handlers or data[8:11] in (b"M4A", b"M4B") else MP4


def _quicktime(data: bytes) -> Kind | None:
    """Detects an old QuickTime file without an `ftyp` box. Its first word alone may also occur in a text."""
    return _iso(data) if re.search(rb"hdlr.{8}(vide|soun)", data, re.DOTALL) else None


def _matroska(data: bytes) -> Kind:
    codecs = {
        m.group() for m in re.finditer(rb"[VA]_(?=VP8|VP9|AV1|MPEG|OPUS|VORBIS|AAC|FLAC|PCM|THEORA)", data[:HEAD])
    }
    return WEBM_AUDIO if codecs == {b"A_"} else WEBM


def _mpeg_audio(data: bytes) -> Kind | None:
    """Detects MP3 and AAC frames. They begin with 11 or 12 set bits, so all other fields of the header are checked."""
    if len(data) < 4 or data[0] != 0xFF:
        return None
    if data[1] & 0xF6 == 0xF0:
        return AAC
    version, layer, bitrate, rate = data[1] >> 3 & 3, data[1] >> 1 & 3, data[2] >> 4, data[2] >> 2 & 3
    possible = data[1] & 0xE0 == 0xE0 and version != 1 and layer == 1 and bitrate not in (0, 15) and rate != 3
    return MP3 if possible else None


MAGIC: tuple[tuple[int, bytes, Kind | Callable[[bytes], Kind | None]], ...] = (
    (0, b"\xff\xd8\xff", JPEG),
    (0, b"\x89PNG\r\n\x1a\n", _png),
    (0, b"GIF87a", _gif),
    (0, b"GIF89a", _gif),
    (0, b"RIFF", _riff),
    (0, b"RF64", _riff),
    (0, b"BM", _bmp),
    (0, b"II*\0", TIFF),
    (0, b"MM\0*", TIFF),
    (0, b"fLaC", FLAC),
    (0, b"OggS", _ogg),
    (0, b"ID3", MP3),  # a tag without its end
    (4, b"ftyp", _iso),
    *((4, box, _quicktime) for box in (b"moov", b"mdat", b"wide", b"free", b"skip")),
    (0, b"\x1a\x45\xdf\xa3", _matroska),
    (0, b"%PDF", Kind("PDF", None)),
    (0, b"PK\x03\x04", Kind("a ZIP archive", None)),
    (0, b"\x1f\x8b", Kind("gzip", None)),
)
