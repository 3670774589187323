"""Batches without padding give what padded ones give."""

from typing import Any

import pytest
import torch

from app.modalities.text import batches
from app.modalities.text.forward import Batching, ForwardPath, TextForward
from app.modalities.text.pipeline import PoolingMode, pool
from app.modalities.text.proof import UNPADDED
from tests.fakes.tiny_models import ARCHITECTURES

TEXTS = [[5, 6, 7], [8, 9, 10], [5, 6, 7, 8, 9, 11, 12], [4]]


def forward(objective: Any, batching: Batching) -> TextForward:
    return TextForward(objective.model, ForwardPath(batching), objective.tokenizer.pad_token_id)


@pytest.mark.parametrize("architecture", sorted(UNPADDED & set(ARCHITECTURES)))
def test_all_ways_of_batching_are_equal(architecture: str, objectives: Any) -> None:
    objective = objectives(architecture)
    before = objective.model.config._attn_implementation
    with torch.inference_mode():
        unpadded, padded, equal = (forward(objective, each) for each in Batching)
        flat = unpadded.collate(TEXTS)
        assert not unpadded.pads and flat.runs == ((0, 2, 3), (6, 1, 7), (13, 1, 1))
        expected = unpadded.hidden_states(flat)
        square = padded.collate(TEXTS)
        assert padded.pads and square.inputs["input_ids"].shape == (4, 7)
        torch.testing.assert_close(padded.hidden_states(square), expected, atol=1e-5, rtol=1e-4)
        assert not equal.pads
        torch.testing.assert_close(equal.hidden_states(equal.collate(TEXTS)), expected, atol=1e-5, rtol=1e-4)
    assert objective.model.config._attn_implementation == before


@pytest.mark.parametrize("batching", Batching)
@pytest.mark.parametrize("whole_head", [False, True])
def test_logits_are_those_of_the_places(batching: Batching, whole_head: bool, objectives: Any) -> None:
    objective = objectives("roberta")
    path = TextForward(objective.model, ForwardPath(batching, whole_head=whole_head), 1)
    places = [(0, 1), (2, 0), (2, 6), (3, 0)]
    with torch.inference_mode():
        batch = path.collate(TEXTS)
        found = path.logits(batch, path.places(batch, places))[: len(places)]
        expected = [objective.model(torch.tensor([TEXTS[text]])).logits[0, position] for text, position in places]
    torch.testing.assert_close(found, torch.stack(expected), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("path", [ForwardPath(b, whole_head=w) for b in Batching for w in (False, True)], ids=str)
def test_a_path_is_read_back_from_its_text(path: ForwardPath) -> None:
    assert ForwardPath.parse(str(path)) == path


@pytest.mark.parametrize("text", ["", "packed", "padded+head"])
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a valid|is not a forward path"):
        ForwardPath.parse(text)


def test_batches_have_few_sizes() -> None:
    sizes = {tokens: batches.rounded(tokens) for tokens in range(1, 4097)}
    assert all(tokens <= size <= max(tokens * 9 / 8 + 1, 8 * -(-tokens // 8)) for tokens, size in sizes.items())
    assert len(set(sizes.values())) == 56
    assert [batches.rounded(tokens) for tokens in (1, 8, 9, 128, 129, 4096)] == [8, 8, 16, 128, 144, 4096]


def test_one_text_does_not_see_another(objectives: Any) -> None:
    path = forward(objectives("bert"), Batching.UNPADDED)
    with torch.inference_mode():
        beside = path.hidden_states(path.collate([[5, 6, 7], [9, 9, 9]]))
        alone = path.hidden_states(path.collate([[5, 6, 7], [4, 4, 4]]))
    assert torch.equal(beside[:3], alone[:3]) and not torch.equal(beside[3:], alone[3:])


def test_pooling_is_by_text() -> None:
    hidden_states = torch.tensor([[1.0, 8.0], [3.0, 2.0], [5.0, 5.0]])
    lengths = torch.tensor([2, 1])
    expected = {
        PoolingMode.MEAN: [[2.0, 5.0], [5.0, 5.0]],
        PoolingMode.CLS: [[1.0, 8.0], [5.0, 5.0]],
        PoolingMode.MAX: [[3.0, 8.0], [5.0, 5.0]],
        PoolingMode.LAST: [[3.0, 2.0], [5.0, 5.0]],
    }
    for mode, vectors in expected.items():
        assert pool([mode], hidden_states, lengths).tolist() == vectors
    both = pool([PoolingMode.MAX, PoolingMode.MEAN], hidden_states, lengths, skipped=torch.tensor([1, 0]))
    assert both.tolist() == [[3.0, 2.0, 3.0, 2.0], [5.0, 5.0, 5.0, 5.0]]
