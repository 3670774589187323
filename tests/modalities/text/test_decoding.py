"""The ways of filling all masks, beside exhaustive enumeration and plain loops over transformers' own forward."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from app.errors import InvalidValue
from app.modalities.text.filling.gibbs import SWEEPS
from app.modalities.text.items import FilledSequence, FillMaskItem
from app.modalities.text.objective import TextObjective
from app.types import FillOrder, FillStrategy, Task
from tests.fakes.perform import perform

TEXT = "The [MASK] chase the [MASK]."
WORDS = ("the", "lions", "zebras", "paris", "##s", "water")


def fill(objective: TextObjective, text: str = TEXT, **options: Any) -> list[FilledSequence]:
    (result,) = perform(objective.tasks[Task.FILL_MASK], [FillMaskItem(text, **options)])
    return list(result.sequences)


def text_ids(objective: TextObjective, text: str = TEXT) -> tuple[list[int], list[int]]:
    """The ids of a text, and the positions of its masks."""
    ids = objective.tokenizer(text)["input_ids"]
    return ids, [place for place, token in enumerate(ids) if token == objective.tokenizer.mask_token_id]


def log_probs(objective: TextObjective, ids: list[int], place: int) -> Tensor:
    row = torch.tensor([ids])
    with torch.no_grad():
        logits = objective.model(input_ids=row, attention_mask=torch.ones_like(row)).logits
    found: Tensor = logits[0, place].log_softmax(-1)
    return found


def tokens(sequence: FilledSequence) -> tuple[int, ...]:
    return tuple(each.token for each in sequence.tokens)


def put(ids: list[int], filled: dict[int, int]) -> list[int]:
    return [filled.get(place, token) for place, token in enumerate(ids)]


@pytest.mark.parametrize("order", FillOrder)
def test_a_beam_of_full_width_is_exhaustive(bert: TextObjective, order: FillOrder) -> None:
    ids, masks = text_ids(bert)
    words = [bert.tokenizer.get_vocab()[word] for word in WORDS]
    surest = max(masks, key=lambda mask: float(log_probs(bert, ids, mask)[words].max()))
    first = masks[0] if order is FillOrder.LEFT_TO_RIGHT else surest
    (second,) = set(masks) - {first}
    expected = {}
    for one, other in product(words, words):
        chained = log_probs(bert, put(ids, {first: one}), second)[other] + log_probs(bert, ids, first)[one]
        filled = {first: one, second: other}
        expected[tuple(filled[mask] for mask in masks)] = float(chained)
    found = fill(bert, num_sequences=len(words) ** 2, targets=WORDS, order=order)
    assert {tokens(each): each.log_prob for each in found} == pytest.approx(expected, rel=1e-4)
    judged = [each.pseudo_log_prob for each in found]
    assert judged == sorted(judged, reverse=True)


def test_greedy_is_a_beam_of_one(bert: TextObjective) -> None:
    assert fill(bert, decode=FillStrategy.GREEDY) == fill(bert, num_sequences=1)
    with pytest.raises(InvalidValue) as caught:
        FillMaskItem(TEXT, decode=FillStrategy.GREEDY, num_sequences=2)
    assert caught.value.param == "num_sequences"


def test_independent_masks_are_the_best_products(bert: TextObjective) -> None:
    ids, masks = text_ids(bert)
    best = [log_probs(bert, ids, mask).topk(9) for mask in masks]
    pairs = product(*(zip(each.values.tolist(), each.indices.tolist(), strict=True) for each in best))
    expected = sorted((sum(log_prob for log_prob, _ in pair), tuple(t for _, t in pair)) for pair in pairs)[::-1][:9]
    found = fill(bert, decode=FillStrategy.INDEPENDENT, num_sequences=9)
    assert {tokens(each): each.log_prob for each in found} == pytest.approx(
        {filled: log_prob for log_prob, filled in expected}, rel=1e-4
    )


@pytest.mark.parametrize("order", FillOrder)
def test_gibbs_draws_each_mask_given_the_others(bert: TextObjective, order: FillOrder) -> None:
    ids, masks = text_ids(bert)
    if order is FillOrder.CONFIDENCE:
        masks.sort(key=lambda mask: -float(log_probs(bert, ids, mask).max()))
    random, state, log_prob = np.random.default_rng(7), list(ids), 0.0
    for _ in range(1 + SWEEPS):
        log_prob = 0.0
        for mask in masks:
            scores = log_probs(bert, put(state, {mask: bert.tokenizer.mask_token_id}), mask)
            cumulated = scores.double().exp().cumsum(-1)
            token = int((cumulated <= random.random() * cumulated[-1]).sum())
            state = put(state, {mask: token})
            log_prob += float(scores[token])
    (found,) = fill(bert, decode=FillStrategy.GIBBS, order=order, seed=7)
    assert tokens(found) == tuple(state[mask] for mask in sorted(masks))
    assert found.log_prob == pytest.approx(log_prob, rel=1e-4)


def test_gibbs_is_a_function_of_its_seed(bert: TextObjective) -> None:
    options: dict[str, Any] = {"decode": FillStrategy.GIBBS, "num_sequences": 3}
    assert fill(bert, **options) == fill(bert, **options)
    assert fill(bert, **options) != fill(bert, **options, seed=1)


def test_draws_are_among_the_targets(bert: TextObjective) -> None:
    found = fill(bert, decode=FillStrategy.GIBBS, num_sequences=5, targets=WORDS)
    assert {token.token_str for each in found for token in each.tokens} <= set(WORDS)


def test_too_many_rows_are_refused(bert: TextObjective) -> None:
    with pytest.raises(InvalidValue) as caught:
        bert.tasks[Task.FILL_MASK].steps(FillMaskItem(TEXT, decode=FillStrategy.GIBBS, num_sequences=20, max_rows=100))
    assert caught.value.param == "decode"
