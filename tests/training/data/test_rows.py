import numpy as np
import pytest

from app.training.data.rows import PackedRows, all_documents, pack, split_documents
from app.training.data.shards import Shard

PREFIX, SUFFIX = np.array([1]), np.array([2])


def shard(lengths: list[int], first: int = 100) -> Shard:
    ends = np.cumsum(lengths)
    return Shard(np.arange(first, first + ends[-1]).astype(np.uint16), ends)


def rows_of(shards: list[Shard], capacity: int, share_rows: bool) -> PackedRows:
    return PackedRows(shards, pack(all_documents(shards), capacity, 2, share_rows=share_rows), PREFIX, SUFFIX)


@pytest.mark.parametrize("share_rows", [True, False])
def test_every_token_stands_in_exactly_one_row_in_order(share_rows: bool) -> None:
    rng = np.random.default_rng(0)
    shards = [shard(rng.integers(0, 40, 200).tolist()), shard(rng.integers(1, 90, 50).tolist(), first=20_000)]
    rows = rows_of(shards, 32, share_rows)
    seen = []
    for i in range(len(rows)):
        row = rows[i]
        assert len(row.ids) == sum(row.segments) <= 32
        assert share_rows or len(row.segments) == 1
        for part in np.split(row.ids, np.cumsum(row.segments)[:-1]):
            assert part[0] == 1 and part[-1] == 2
            assert (np.diff(part[1:-1]) == 1).all()
            seen += part[1:-1].tolist()
    assert sorted(seen) == sorted(np.concatenate([s.tokens for s in shards]).tolist())
    assert rows.tokens == sum(len(rows[i].ids) for i in range(len(rows)))


def test_packing_wastes_little() -> None:
    lengths = np.random.default_rng(1).integers(3, 100, 2000).tolist()
    packed, alone = (rows_of([shard(lengths)], 128, share) for share in (True, False))
    assert packed.tokens / (len(packed) * 128) > 0.93
    assert len(packed) < 0.6 * len(alone)


def test_whole_documents_are_held_out_and_none_is_lost() -> None:
    shards = [shard([10] * 30), shard([10] * 70, first=5000)]
    training, held = split_documents(all_documents(shards), 0.1, seed=3, piece=8)
    assert len(held) == 10
    both = {tuple(d) for d in np.concatenate([training, held]).tolist()}
    assert both == {tuple(d) for d in all_documents(shards).tolist()}
    assert (split_documents(all_documents(shards), 0.1, seed=3, piece=8)[1] == held).all()
    assert (split_documents(all_documents(shards), 0.1, seed=4, piece=8)[1] != held).any()


def test_a_single_document_is_held_out_in_part() -> None:
    training, held = split_documents(all_documents([shard([100])]), 0.02, seed=0, piece=8)
    assert len(held) == 1
    assert (training[:, 2] - training[:, 1]).sum() + (held[:, 2] - held[:, 1]).sum() == 100
