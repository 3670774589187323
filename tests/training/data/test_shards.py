import gzip
import json
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import app.training.data.encoding as encoding
import app.training.data.shards as module
from app.training.data.encoding import EncodedDocuments, make_encoder
from app.training.data.shards import estimate_missing_bytes, read_column, tokenize_file
from app.training.data.source_file import SourceFile
from app.training.hooks import Killed, Stopped
from tests.fakes.forks import FORKS
from tests.fakes.tiny_models import CORPUS, tiny_tokenizer


@pytest.fixture
def source(tmp_path: Path) -> SourceFile:
    path = tmp_path / "content"
    path.write_text("\n".join(json.dumps({"text": t}) for t in CORPUS))
    return SourceFile(path, "corpus.jsonl")


def test_a_shard_holds_every_documents_tokens(source: SourceFile, tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    shard = tokenize_file(source, read_column("text"), tokenizer, tmp_path / "cache")
    documents = np.split(shard.tokens, shard.ends[:-1])
    assert [d.tolist() for d in documents] == [tokenizer(t, add_special_tokens=False)["input_ids"] for t in CORPUS]
    assert shard.tokens.dtype == np.uint16


def test_the_same_content_is_tokenised_once(source: SourceFile, tmp_path: Path) -> None:
    def fail(read: int | None) -> None:
        raise AssertionError("the shard is made again")

    first = tokenize_file(source, read_column("text"), tiny_tokenizer(), tmp_path / "cache")
    copy = tmp_path / "copy"
    copy.write_bytes(source.path.read_bytes())
    again = tokenize_file(
        SourceFile(copy, "other.jsonl"), read_column("text"), tiny_tokenizer(), tmp_path / "cache", 1, fail
    )
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
        tokenize_file(file, read_column(column), tiny_tokenizer(kind), cache)
    assert len(list((cache / "tokens").iterdir())) == 4


def test_long_documents_are_encoded_in_pieces_without_loss(
    source: SourceFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tokenize_file(source, read_column("text"), tiny_tokenizer(), tmp_path / "a")
    monkeypatch.setattr(encoding, "PIECE_CHARS", 20)
    monkeypatch.setattr(encoding, "find_chunking", lambda tokenizer: None)
    monkeypatch.setattr(module, "BATCH_CHARS", 50)
    pieces = tokenize_file(source, read_column("text"), tiny_tokenizer(), tmp_path / "b")
    assert np.array_equal(whole.tokens, pieces.tokens)
    assert np.array_equal(whole.ends, pieces.ends)


def test_a_failed_tokenisation_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text("no json")
    with pytest.raises(Exception, match=r"bad.jsonl, line 1"):
        tokenize_file(SourceFile(path, path.name), read_column("text"), tiny_tokenizer(), tmp_path / "cache")
    assert list((tmp_path / "cache" / "tokens").iterdir()) == []


@pytest.fixture
def large(tmp_path: Path) -> SourceFile:
    path = tmp_path / "large"
    path.write_text("\n".join(json.dumps(f"{number} {text}") for number in range(50) for text in CORPUS))
    return SourceFile(path, "large.jsonl")


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_CHARS", 1000)
    monkeypatch.setattr(module, "SAVED_CHARS", 4000)
    monkeypatch.setattr(module, "ALONE", 4)


def files(cache: Path) -> dict[str, bytes]:
    (folder,) = (cache / "tokens").iterdir()
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.usefixtures("small_batches")
def test_processes_and_stops_change_no_byte(large: SourceFile, tmp_path: Path) -> None:
    tokenize_file(large, read_column("text"), tiny_tokenizer(), tmp_path / "whole")
    expected = files(tmp_path / "whole")
    assert sorted(expected) == [
        "characters.bin", "ends.bin", "exact.bin", "hashes.bin", "lock", "shard.json", "tokens.bin"
    ]  # fmt: skip
    heard: list[int | None] = []
    stops = [3, 9, 10, 22]

    def listen(read: int | None) -> None:
        heard.append(read)
        if len(heard) in stops:
            raise Stopped("pause")

    for _ in stops:
        with pytest.raises(Stopped):
            tokenize_file(large, read_column("text"), tiny_tokenizer(), tmp_path / "cut", 3, listen)
    tokenize_file(large, read_column("text"), tiny_tokenizer(), tmp_path / "cut", 3, listen)
    assert files(tmp_path / "cut") == expected
    assert heard[-1] == large.path.stat().st_size


@pytest.mark.usefixtures("small_batches")
def test_a_killed_helper_costs_no_more_than_a_stop(large: SourceFile, tmp_path: Path) -> None:
    tokenize_file(large, read_column("text"), tiny_tokenizer(), tmp_path / "whole")
    heard: list[int | None] = []

    def kill(read: int | None) -> None:
        heard.append(read)
        if len(heard) == 8:
            for process in psutil.Process().children():
                if "app.training.data.encoding_process" in process.cmdline():
                    process.kill()

    with pytest.raises(Killed):
        tokenize_file(large, read_column("text"), tiny_tokenizer(), tmp_path / "cut", 2, kill)
    (aside,) = (tmp_path / "cut" / "tokens").iterdir()
    assert json.loads((aside / "progress.json").read_text())["documents"] > 0
    tokenize_file(large, read_column("text"), tiny_tokenizer(), tmp_path / "cut", 2)
    assert files(tmp_path / "cut") == files(tmp_path / "whole")


def tokenize_until_killed(file: SourceFile, tokenizer: Any, cache: Path, batches: int) -> None:
    module.BATCH_CHARS, module.SAVED_CHARS, module.ALONE = 1000, 4000, 4
    left = iter(range(batches))

    def listen(read: int | None) -> None:
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    tokenize_file(file, read_column("text"), tokenizer, cache, 2, listen)


def test_a_killed_process_loses_no_more_than_what_was_not_saved(
    large: SourceFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_batches: None
) -> None:
    tokenize_file(large, read_column("text"), tiny_tokenizer(), tmp_path / "whole")
    for batches in (14, 10):  # the second one begins by reading what the first has done
        process = FORKS.Process(target=tokenize_until_killed, args=(large, tiny_tokenizer(), tmp_path / "cut", batches))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    (aside,) = (tmp_path / "cut" / "tokens").iterdir()
    with (aside / "tokens.bin").open("ab") as torn:
        torn.write(b"what was never good")
    encoded: list[int] = []

    def counting_encoder(*arguments: Any) -> Callable[[Sequence[str]], EncodedDocuments]:
        encode = make_encoder(*arguments)

        def count(documents: Sequence[str]) -> EncodedDocuments:
            encoded.append(len(documents))
            return encode(documents)

        return count

    monkeypatch.setattr(module, "make_encoder", counting_encoder)
    tokenize_file(large, read_column("text"), tiny_tokenizer(), tmp_path / "cut")
    assert 0 < sum(encoded) < 8 * 50 - 60
    assert files(tmp_path / "cut") == files(tmp_path / "whole")


def test_a_file_that_lost_what_was_good_is_begun_again(large: SourceFile, tmp_path: Path, small_batches: None) -> None:
    tokenize_file(large, read_column("text"), tiny_tokenizer(), tmp_path / "whole")
    heard: list[int | None] = []

    def listen(read: int | None) -> None:
        heard.append(read)
        if len(heard) == 9:
            raise Stopped("pause")

    with pytest.raises(Stopped):
        tokenize_file(large, read_column("text"), tiny_tokenizer(), tmp_path / "cut", 1, listen)
    (aside,) = (tmp_path / "cut" / "tokens").iterdir()
    os.truncate(aside / "hashes.bin", 8)
    tokenize_file(large, read_column("text"), tiny_tokenizer(), tmp_path / "cut")
    assert files(tmp_path / "cut") == files(tmp_path / "whole")


def test_what_was_begun_counts_as_there(large: SourceFile, tmp_path: Path, small_batches: None) -> None:
    def listen(read: int | None) -> None:
        raise Stopped("cancel")

    before = estimate_missing_bytes(large, read_column("text"), tiny_tokenizer(), tmp_path)
    with pytest.raises(Stopped):
        tokenize_file(large, read_column("text"), tiny_tokenizer(), tmp_path, 1, listen)
    assert 0 < estimate_missing_bytes(large, read_column("text"), tiny_tokenizer(), tmp_path) < before
    tokenize_file(large, read_column("text"), tiny_tokenizer(), tmp_path)
    assert estimate_missing_bytes(large, read_column("text"), tiny_tokenizer(), tmp_path) == 0
