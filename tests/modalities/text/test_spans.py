"""Spans of masks, beside a beam search of one forward at a time of transformers' own model."""

from typing import Any

import pytest
import torch

from app.errors import AppError, InputTooLong, InvalidValue, TooManyMasks
from app.modalities.text.items import FilledSequence, FillMaskItem
from app.modalities.text.objective import TextObjective
from app.types import FillOrder, FillStrategy, Task
from tests.fakes.perform import perform

TEXT = "The [MASK:1-3] chase the [MASK]."
WIDTH = 4


def fill(objective: TextObjective, text: str = TEXT, **options: Any) -> list[FilledSequence]:
    (result,) = perform(objective.tasks[Task.FILL_MASK], [FillMaskItem(text, **options)])
    assert all(not mask.candidates for mask in result.masks)
    return list(result.sequences)


def reference(objective: TextObjective) -> list[tuple[float, tuple[int, ...], list[int]]]:
    """(mean log-probability, tokens, lengths) of a beam search from left to right for each length."""
    tokenizer = objective.tokenizer
    mask = tokenizer.mask_token_id
    found = []
    for length in (1, 2, 3):
        ids = tokenizer(TEXT.replace("[MASK:1-3]", "[MASK]" * length))["input_ids"]
        beam: dict[tuple[int, ...], float] = {(): 0.0}
        places = [place for place, token in enumerate(ids) if token == mask]
        for at, place in enumerate(places):
            grown: dict[tuple[int, ...], float] = {}
            for filled, log_prob in beam.items():
                row = torch.tensor([ids])
                row[0, places[:at]] = torch.tensor(filled, dtype=torch.int64)
                with torch.no_grad():
                    scores = objective.model(input_ids=row, attention_mask=torch.ones_like(row)).logits[0, place]
                best = scores.log_softmax(-1).topk(WIDTH)
                for score, token in zip(best.values.tolist(), best.indices.tolist(), strict=True):
                    grown[*filled, token] = log_prob + score
            beam = dict(sorted(grown.items(), key=lambda pair: -pair[1])[:WIDTH])
        found += [(log_prob / len(filled), filled, [length, 1]) for filled, log_prob in beam.items()]
    return sorted(found, reverse=True)


def test_lengths_are_compared_by_the_mean_of_a_token(bert: TextObjective) -> None:
    expected = reference(bert)[:WIDTH]
    found = fill(bert, num_sequences=WIDTH, order=FillOrder.LEFT_TO_RIGHT)
    assert [tuple(t.token for t in each.tokens) for each in found] == [filled for _, filled, _ in expected]
    assert [each.lengths for each in found] == [lengths for _, _, lengths in expected]
    means = torch.tensor([mean for mean, _, _ in expected]).exp().tolist()
    assert [each.score_per_token for each in found] == pytest.approx(means, rel=1e-4)


def test_a_span_of_fixed_length_is_as_many_masks(bert: TextObjective) -> None:
    span = fill(bert, "The [MASK:2] hunt.", num_sequences=3)
    masks = fill_masks(bert, "The [MASK] [MASK] hunt.", num_sequences=3)
    assert sorted(each.log_prob for each in span) == pytest.approx(sorted(each.log_prob for each in masks), rel=1e-5)
    assert all(each.lengths == [2] for each in span)


def fill_masks(objective: TextObjective, text: str, **options: Any) -> list[FilledSequence]:
    (result,) = perform(objective.tasks[Task.FILL_MASK], [FillMaskItem(text, **options)])
    return list(result.sequences)


@pytest.mark.parametrize("architecture", ["bert", "roberta", "albert"])
@pytest.mark.parametrize("strategy", FillStrategy)
def test_the_users_text_stays_around_spans(objectives: Any, architecture: str, strategy: FillStrategy) -> None:
    text = "Naïve  [MASK:1-2] in\n[MASK: 2 - 3] Zürich!"
    for each in fill(objectives(architecture), text, decode=strategy):
        assert each.sequence.startswith("Naïve") and each.sequence.endswith(" Zürich!") and " in" in each.sequence
        assert sum(each.lengths) == len(each.tokens)


@pytest.mark.parametrize(
    ("text", "options", "error", "param"),
    [
        *(
            (f"The [MASK:{span}].", {}, InvalidValue, "input")
            for span in ("0", "9", "3-1", "1-9", "a", "", "-2", "1-2-3")
        ),
        ("[MASK:1-8] [MASK:1-8] [MASK:1-2]", {}, InvalidValue, "input"),
        ("[MASK:8] [MASK:8]", {"max_masks": 15}, TooManyMasks, "input"),
        (TEXT, {"targets": ("lions",)}, InvalidValue, "targets"),
        (TEXT, {"whole_words": True}, InvalidValue, "whole_words"),
        (TEXT, {"single_tokens": True}, InvalidValue, "input"),
        (TEXT, {"max_rows": 5}, InvalidValue, "input"),
        ("the " * 58 + "[MASK:1-8]", {}, InputTooLong, "input"),
        ("the " * 50_000 + "[MASK:1-8]", {"truncate": True}, InputTooLong, "input"),
    ],
)
def test_mistakes_are_named(
    bert: TextObjective, text: str, options: dict[str, Any], error: type[AppError], param: str
) -> None:
    with pytest.raises(error) as caught:
        bert.tasks[Task.FILL_MASK].steps(FillMaskItem(text, **options))
    assert caught.value.param == param
