"""Batches without padding give what padded ones give."""

from typing import Any

import pytest
import torch

from app.modalities.text import batches as rows
from app.modalities.text.encoder import POOLERS
from app.types import Pooling

TEXTS = [[5, 6, 7], [8, 9, 10], [5, 6, 7, 8, 9, 11, 12], [4]]
UNPADDED = sorted(rows.UNPADDED)


@pytest.mark.parametrize("architecture", UNPADDED)
def test_unpadded_equals_padded(architecture: str, objectives: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    objective = objectives(architecture)
    model, pad_id = objective.model, objective.tokenizer.pad_token_id
    before = model.config._attn_implementation
    with torch.inference_mode():
        flat = rows.collate(model, TEXTS, pad_id)
        unpadded = rows.encode(model, flat)
        assert not rows.pads(model) and flat.runs == ((0, 2, 3), (6, 1, 7), (13, 1, 1))
        monkeypatch.setattr(rows, "pads", lambda _: True)
        padded = rows.collate(model, TEXTS, pad_id)
        assert padded.inputs["input_ids"].shape == (4, 7)
        torch.testing.assert_close(rows.encode(model, padded), unpadded, atol=1e-5, rtol=1e-4)
    assert model.config._attn_implementation == before


def test_batches_have_few_sizes() -> None:
    sizes = {tokens: rows.rounded(tokens) for tokens in range(1, 4097)}
    assert all(tokens <= size <= max(tokens * 9 / 8 + 1, 8 * -(-tokens // 8)) for tokens, size in sizes.items())
    assert len(set(sizes.values())) == 56
    assert [rows.rounded(tokens) for tokens in (1, 8, 9, 128, 129, 4096)] == [8, 8, 16, 128, 144, 4096]


def test_places_are_in_the_flattened_output(objectives: Any) -> None:
    model = objectives("bert").model
    assert rows.collate(model, TEXTS, 0).places(2, [0, 3]) == [6, 9]
    padded = rows.TextBatch({}, [0, 7, 14, 21], [3, 3, 7, 1])
    assert padded.places(2, [0, 3]) == [14, 17]


def test_one_text_does_not_see_another(objectives: Any) -> None:
    model = objectives("bert").model
    with torch.inference_mode():
        beside = rows.encode(model, rows.collate(model, [[5, 6, 7], [9, 9, 9]], 0))
        alone = rows.encode(model, rows.collate(model, [[5, 6, 7], [4, 4, 4]], 0))
    assert torch.equal(beside[:3], alone[:3]) and not torch.equal(beside[3:], alone[3:])


def test_pooling_is_by_text() -> None:
    hidden = torch.tensor([[1.0, 8.0], [3.0, 2.0], [5.0, 5.0]])
    lengths = torch.tensor([2, 1])
    expected = {Pooling.MEAN: [[2.0, 5.0], [5.0, 5.0]], Pooling.CLS: [[1.0, 8.0], [5.0, 5.0]]}
    expected[Pooling.MAX] = [[3.0, 8.0], [5.0, 5.0]]
    assert {pooling: pooler(hidden, lengths).tolist() for pooling, pooler in POOLERS.items()} == expected
