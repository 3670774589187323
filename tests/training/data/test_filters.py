import json
from pathlib import Path

import pytest

from app.errors import InvalidData
from app.methods import MlmHyperparameters
from app.training.data.encoding import text_hash
from app.training.data.filters import choose_documents
from app.training.data.rows import Ints
from app.training.data.shards import Shard, read_column, tokenize_file
from app.training.data.source_file import SourceFile
from tests.fakes.tiny_models import tiny_tokenizer


def shard(tmp_path: Path, *texts: str) -> Shard:
    path = tmp_path / "content"
    path.write_text("\n".join(json.dumps(t) for t in texts))
    return tokenize_file(SourceFile(path, "a.jsonl"), read_column("text"), tiny_tokenizer(), tmp_path / "cache")


def chosen(documents: Ints, shards: list[Shard]) -> list[tuple[int, int]]:
    """(shard, document) of each"""
    return [(int(s), int((shards[s].ends == end).argmax())) for s, _, end in documents]


def test_nothing_is_dropped_unless_asked_for(tmp_path: Path) -> None:
    shards = [shard(tmp_path, "a lion", "a lion")]
    documents, dropped = choose_documents(shards, [], MlmHyperparameters())
    assert (len(documents), dropped) == (2, None)


def test_duplicates_and_lengths_are_dropped_and_counted(tmp_path: Path) -> None:
    shards = [
        shard(tmp_path, "a lion hunts", "A  Lion\thunts", "no", "a zebra runs"),
        shard(tmp_path, "a zebra runs", "an antelope runs far away", "a deer"),
    ]
    validation = [shard(tmp_path, "a deer")]
    hp = MlmHyperparameters(deduplicate="normalized", min_characters=3, max_characters=20)
    documents, dropped = choose_documents(shards, validation, hp)
    assert chosen(documents, shards) == [(0, 0), (0, 3)]
    assert dropped is not None
    assert dropped.describe() == (
        "Dropped 5 of 7 documents: 2 duplicates, 1 too short, 1 too long, 1 also in a validation file"
    )


def test_exact_duplicates_have_the_same_case_and_white_space(tmp_path: Path) -> None:
    shards = [shard(tmp_path, "c1ccccc1", "C1CCCCC1", "c1ccccc1", "a lion", "a  lion", "a deer")]
    documents, dropped = choose_documents(
        shards, [shard(tmp_path, "A deer", "a lion")], MlmHyperparameters(deduplicate="exact")
    )
    assert chosen(documents, shards) == [(0, 0), (0, 1), (0, 4), (0, 5)]
    assert dropped is not None and (dropped.duplicates, dropped.held_out) == (1, 1)


def test_a_duplicate_of_what_is_dropped_stays_dropped(tmp_path: Path) -> None:
    shards = [shard(tmp_path, "no", "no", "a lion")]
    documents, dropped = choose_documents(shards, [], MlmHyperparameters(deduplicate="exact", min_characters=3))
    assert chosen(documents, shards) == [(0, 2)]
    assert dropped is not None and (dropped.too_short, dropped.duplicates) == (2, 0)


def test_when_nothing_is_left_it_says_why(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="Dropped 1 of 1 documents: 1 too short"):
        choose_documents([shard(tmp_path, "a lion")], [], MlmHyperparameters(min_characters=100))


def test_spelling_alone_makes_no_other_text() -> None:
    assert text_hash("A  ﬁne\nDay") == text_hash("a fine day")
    assert text_hash("a fine day") != text_hash("a fine day.")
