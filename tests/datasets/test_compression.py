"""Compressed streams: several in one file, cut ones, bombs, and limits that are told as limits."""

import gzip
import io
import lzma
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from app.datasets import compression
from app.datasets.compression import COMPRESSIONS, window_limit
from app.datasets.sources import Refusal
from app.media.limits import MIB

PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.compress,
}
DATA = bytes(range(256)) * 5000


def unpack(suffix: str, packed: bytes) -> bytes:
    with COMPRESSIONS[suffix](io.BytesIO(packed)) as stream:
        return stream.read()


@pytest.mark.parametrize("suffix", PACK)
def test_several_streams_are_read_end_to_end(suffix: str) -> None:
    packed = PACK[suffix](DATA)
    assert unpack(suffix, packed) == DATA
    assert unpack(suffix, packed + PACK[suffix](b"") + packed) == DATA + DATA
    assert unpack(suffix, PACK[suffix](b"")) == b""
    if suffix != ".zst":
        assert unpack(suffix, packed + bytes(2048) + packed + bytes(512)) == DATA + DATA  # padding of tapes


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("part", [0.0, 0.2, 0.9])
def test_a_stream_cut_off_is_no_shorter_stream(suffix: str, part: float) -> None:
    packed = PACK[suffix](DATA)
    with pytest.raises(EOFError):
        unpack(suffix, packed[: int(len(packed) * part)])
    with pytest.raises(EOFError):
        unpack(suffix, packed + packed[: len(packed) // 2])


def test_frames_that_hold_no_data_are_skipped() -> None:
    note = b"\x50\x2a\x4d\x18\x05\0\0\0hello"
    assert unpack(".zst", note + zstandard.compress(DATA) + note) == DATA


def long_window(log: int) -> bytes:
    parameters = zstandard.ZstdCompressionParameters(window_log=log)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return packer.compress(b"hello\n" * 1000) + packer.flush()


def test_a_long_window_is_read_where_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "window_limit", lambda: 2048 * MIB)
    assert unpack(".zst", long_window(31)) == b"hello\n" * 1000
    monkeypatch.setattr(compression, "window_limit", lambda: 128 * MIB)
    with pytest.raises(Refusal, match=r"window is longer than the 128 MiB .* zstd --long=27"):
        unpack(".zst", long_window(28))


@pytest.mark.parametrize(
    ("free_mib", "allowed_mib", "limit_mib"),
    [
        (100, None, 128),
        (1024, None, 256),
        (4096, None, 1024),
        (64_000, None, 2048),
        (64_000, 1024, 512),
        (64_000, 3072, 2048),
        (1024, 3072, 256),
    ],
)
def test_the_longest_window_goes_by_free_and_allowed_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_mib: int, allowed_mib: int | None, limit_mib: int
) -> None:
    allowed = resource.RLIM_INFINITY if allowed_mib is None else allowed_mib * MIB
    monkeypatch.setattr(resource, "getrlimit", lambda _: (allowed, resource.RLIM_INFINITY))
    path = tmp_path / "meminfo"
    path.write_text(f"MemTotal: 1 kB\nMemAvailable: {free_mib * 1024} kB\n")
    assert window_limit(path) == limit_mib * MIB


def test_a_name_in_a_gzip_header_takes_no_time() -> None:
    header = b"\x1f\x8b\x08\x08" + bytes(6)  # Python's own reader takes the name apart byte by byte
    assert unpack(".gz", header + b"n" * 1_000_000 + b"\0" + gzip.compress(DATA)[10:]) == DATA


def test_an_xz_dictionary_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "XZ_MEMORY", MIB)
    with pytest.raises(Refusal, match="dictionary needs more than 1 MiB"):
        unpack(".xz", lzma.compress(DATA))
