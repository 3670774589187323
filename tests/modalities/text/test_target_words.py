"""Targets of several tokens, beside one forward at a time of transformers' own model."""

import math
from typing import Any

import pytest
import torch

from app.errors import InputTooLong, InvalidValue
from app.modalities.text.items import FillMaskItem, WordCandidate
from app.modalities.text.objective import TextObjective
from app.types import Normalization, Task
from tests.fakes.perform import perform, rows_of

TEXT = "The [MASK] chase the [MASK]."
TARGETS = ("the lions", "zebras", "of the france", "lions", "the lions")


def candidates(objective: TextObjective, text: str, targets: tuple[str, ...], **options: Any) -> list[Any]:
    item = FillMaskItem(text, targets=targets, **({"top_k": len(targets)} | options))
    (result,) = perform(objective.tasks[Task.FILL_MASK], [item])
    return [mask.candidates for mask in result.masks]


def reference(objective: TextObjective, text: str, index: int, tokens: list[int]) -> float:
    """The log-probability of tokens at mask number `index`: a forward a token, with the later ones masked."""
    ids = objective.tokenizer(text.replace("[MASK]", objective.mask_token))["input_ids"]
    mask = objective.tokenizer.mask_token_id
    place = [i for i, token in enumerate(ids) if token == mask][index]
    total = 0.0
    for at, token in enumerate(tokens):
        row = [*ids[:place], *tokens[:at], *[mask] * (len(tokens) - at), *ids[place + 1 :]]
        with torch.no_grad():
            logits = objective.model(input_ids=torch.tensor([row]), attention_mask=torch.ones(1, len(row))).logits
        total += float(logits[0, place + at].log_softmax(-1)[token])
    return total


def spellings(objective: TextObjective, target: str) -> list[list[int]]:
    """A byte-level vocabulary writes a word behind a space and without one."""
    forms = [f" {target}", target] if objective.model.config.model_type == "roberta" else [target]
    return [objective.tokenizer(form, add_special_tokens=False)["input_ids"] for form in forms]


@pytest.mark.parametrize("architecture", ["bert", "roberta", "albert"])
def test_a_score_is_the_product_of_a_forward_a_token(objectives: Any, architecture: str) -> None:
    objective = objectives(architecture)
    for index, found in enumerate(candidates(objective, TEXT, TARGETS)):
        expected = [
            max(reference(objective, TEXT, index, tokens) for tokens in spellings(objective, target))
            for target in TARGETS
        ]
        assert {each.target: each.log_prob for each in found} == pytest.approx(dict(enumerate(expected)), abs=1e-4)
        assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
        for each in found:
            assert each.score == pytest.approx(math.exp(each.log_prob))
            assert each.score_per_token == pytest.approx(math.exp(each.log_prob / len(each.tokens)))


def test_candidates_name_their_targets_and_repeat_them(bert: TextObjective) -> None:
    first, _ = candidates(bert, TEXT, TARGETS)
    assert sorted(each.target for each in first) == [0, 1, 2, 3, 4]
    by_target: dict[int, WordCandidate] = {each.target: each for each in first}
    assert by_target[0].log_prob == by_target[4].log_prob
    assert [by_target[0].token, by_target[0].token_str] == [None, "the lions"]
    assert by_target[0].sequence == "The the lions chase the [MASK]."
    assert [each.token_str for each in by_target[0].tokens] == ["the", "lions"]
    assert by_target[3].token == bert.tokenizer.get_vocab()["lions"]


def test_where_every_target_is_one_token_nothing_changes(bert: TextObjective) -> None:
    (alone,) = candidates(bert, "The [MASK].", ("lions", "zebras"))
    (beside,) = candidates(bert, "The [MASK].", ("lions", "zebras", "the lions"))
    assert not any(isinstance(each, WordCandidate) for each in alone)
    scores = {each.token: each.score for each in beside if each.token is not None}
    assert scores == pytest.approx({each.token: each.score for each in alone}, rel=1e-4)


def test_length_normalization_ranks_by_the_mean_of_a_token(bert: TextObjective) -> None:
    plain, _ = candidates(bert, TEXT, TARGETS)
    ranked, _ = candidates(bert, TEXT, TARGETS, normalization=Normalization.LENGTH)
    assert sorted(each.target for each in ranked) == sorted(each.target for each in plain)
    means = [each.score_per_token for each in ranked]
    assert means == sorted(means, reverse=True)


def test_renormalized_scores_sum_to_one_over_different_targets(bert: TextObjective) -> None:
    found, _ = candidates(bert, TEXT, TARGETS, renormalize=True)
    assert sum(each.score for each in found if each.target != 4) == pytest.approx(1)


def test_targets_with_the_same_beginning_share_rows(bert: TextObjective) -> None:
    handler = bert.tasks[Task.FILL_MASK]
    assert len(rows_of(handler, FillMaskItem("[MASK]", targets=("the lions", "the zebras", "lions")))) == 3


def test_too_many_rows_and_tokens_are_refused(bert: TextObjective) -> None:
    handler = bert.tasks[Task.FILL_MASK]
    for options in ({"max_rows": 1}, {"targets": ("the lions " * 5,)}):
        with pytest.raises(InvalidValue) as caught:
            handler.steps(FillMaskItem("[MASK]", **({"targets": ("the lions",)} | options)))
        assert caught.value.param == "targets"
    with pytest.raises(InvalidValue) as caught:
        handler.steps(FillMaskItem("[MASK]", targets=("the lions",), num_sequences=2))
    assert caught.value.param == "num_sequences"


def test_a_text_leaves_room_for_the_longest_target(bert: TextObjective) -> None:
    text = "the " * 61 + "[MASK]"  # 64 tokens, all that the model reads
    handler = bert.tasks[Task.FILL_MASK]
    with pytest.raises(InputTooLong):
        handler.steps(FillMaskItem(text, targets=("the lions",)))
    rows = rows_of(handler, FillMaskItem(text, targets=("the lions",), truncate=True))
    assert [len(row.inputs.ids) for row in rows] == [64, 64]
