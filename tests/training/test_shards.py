import gzip
import json
from pathlib import Path

import numpy as np
import pytest

import app.training.shards as module
from app.training.job import SourceFile
from app.training.shards import tokenize_file
from tests.fakes.tiny_models import CORPUS, tiny_tokenizer


@pytest.fixture
def source(tmp_path: Path) -> SourceFile:
    path = tmp_path / "content"
    path.write_text("\n".join(json.dumps({"text": t}) for t in CORPUS))
    return SourceFile(path, "corpus.jsonl")


def test_a_shard_holds_every_documents_tokens(source: SourceFile, tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    shard = tokenize_file(source, "text", tokenizer, tmp_path / "cache")
    documents = np.split(shard.tokens, shard.ends[:-1])
    assert [d.tolist() for d in documents] == [tokenizer(t, add_special_tokens=False)["input_ids"] for t in CORPUS]
    assert shard.tokens.dtype == np.uint16


def test_the_same_content_is_tokenised_once(
    source: SourceFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tokenize_file(source, "text", tiny_tokenizer(), tmp_path / "cache")
    copy = tmp_path / "copy"
    copy.write_bytes(source.path.read_bytes())
    monkeypatch.setattr(module, "_write_shard", None)  # would fail if it were called
    again = tokenize_file(SourceFile(copy, "other.jsonl"), "text", tiny_tokenizer(), tmp_path / "cache")
    assert np.array_equal(first.tokens, again.tokens)


def test_another_tokenizer_format_or_column_is_another_shard(source: SourceFile, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    path = tmp_path / "two"
    path.write_bytes(gzip.compress(b'{"text": "a lion", "body": "a fox"}'))
    two = SourceFile(path, "two.jsonl.gz")
    for file, column, kind in [
        (source, "text", "bert"),
        (source, "text", "roberta"),
        (two, "text", "bert"),
        (two, "body", "bert"),
    ]:
        tokenize_file(file, column, tiny_tokenizer(kind), cache)
    assert len(list((cache / "tokens").iterdir())) == 4


def test_long_documents_are_encoded_in_pieces_without_loss(
    source: SourceFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tokenize_file(source, "text", tiny_tokenizer(), tmp_path / "a")
    monkeypatch.setattr(module, "PIECE_CHARS", 20)
    monkeypatch.setattr(module, "BATCH_CHARS", 50)
    pieces = tokenize_file(source, "text", tiny_tokenizer(), tmp_path / "b")
    assert np.array_equal(whole.tokens, pieces.tokens)
    assert np.array_equal(whole.ends, pieces.ends)


def test_a_failed_tokenisation_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text("no json")
    with pytest.raises(Exception, match=r"bad.jsonl, line 1"):
        tokenize_file(SourceFile(path, path.name), "text", tiny_tokenizer(), tmp_path / "cache")
    assert list((tmp_path / "cache" / "tokens").iterdir()) == []
