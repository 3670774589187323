import gzip
import json
import lzma
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

import app.datasets.sampling as module
from app.datasets import plain_text
from app.datasets.sampling import sample_documents
from app.errors import InvalidData

TEXTS = [f"Document {n} tells of lion {n * 7919 % 1000}, at some length, é." for n in range(20_000)]


@pytest.fixture
def lines() -> bytes:
    return "\n".join(json.dumps({"text": t}, ensure_ascii=False) for t in TEXTS).encode()


def test_a_small_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "content"
    path.write_text("One lion.\n\nTwo lions, é.\n\nNo.")
    found = sample_documents(path, "a.txt", "text", min_characters=4)
    assert (found.documents, found.bytes, found.share) == (2, 9 + 14, 1.0)
    assert found.whole and found.texts == ("One lion.", "Two lions, é.")


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.xz", ".json", ".parquet"])
def test_of_a_large_file_the_beginning_tells_the_rest(
    tmp_path: Path, lines: bytes, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 300_000)
    path = tmp_path / "content"
    if suffix == ".parquet":
        pq.write_table(pa.table({"text": TEXTS, "more": TEXTS}), path)
    elif suffix == ".json":
        path.write_bytes(b"[" + lines.replace(b"\n", b",\n") + b"]")
    else:
        path.write_bytes(lzma.compress(lines) if suffix.endswith("xz") else lines)
    found = sample_documents(path, f"a{suffix}", "text")
    assert not found.whole and found.documents < len(TEXTS)
    assert found.documents / found.share == pytest.approx(len(TEXTS), rel=0.2)
    assert found.bytes / found.share == pytest.approx(len("".join(TEXTS).encode()), rel=0.2)
    assert sum(map(len, found.texts)) < 2 * module.MAX_TEXT


@pytest.mark.parametrize("suffix", [".txt", ".txt.zst", ".txt.gz"])
@pytest.mark.parametrize("ending", ["", "\n\nThe end."])
def test_a_text_without_empty_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, ending: str) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 300_000)
    monkeypatch.setattr(plain_text, "MAX_DOCUMENT", 200_000)
    path = tmp_path / "content"
    content = ("\n".join(TEXTS[:4500]) + ending).encode()
    assert 300_000 > len(content) - len(TEXTS[0]) * 300 > 200_000
    pack = {".zst": zstandard.compress, ".gz": gzip.compress}.get(suffix[4:], bytes)
    path.write_bytes(pack(content))
    found = sample_documents(path, f"a{suffix}", "text")
    assert found.documents >= 1
    assert 0 < found.share <= 1


def test_what_is_broken_or_empty_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "content"
    path.write_text('{"text": "fine"}\n{"body": 1}')
    with pytest.raises(InvalidData, match=r"a.jsonl, line 2"):
        sample_documents(path, "a.jsonl", "text")
    path.write_text("\n\n")
    with pytest.raises(InvalidData, match="contains no text"):
        sample_documents(path, "a.txt", "text")
