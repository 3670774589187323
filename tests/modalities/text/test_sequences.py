"""All masks of a text together, beside a plain loop over transformers' own forward."""

from typing import Any

import numpy as np
import pytest
import torch

from app.errors import AppError
from app.modalities.text.items import FilledSequence, FilledToken, FillMaskItem, FillMaskResult
from app.modalities.text.load import load_text
from app.modalities.text.objective import TextObjective
from app.types import Task
from tests.fakes.perform import perform

TEXT = "The [MASK] of France is [MASK] [MASK]."


def fill(objective: TextObjective, *texts: str, **options: Any) -> list[FillMaskResult]:
    return perform(objective.tasks[Task.FILL_MASK], [FillMaskItem(text, **options) for text in texts])


def expected(objective: TextObjective, text: str, width: int) -> list[tuple[tuple[int, ...], float]]:
    """(tokens, log_prob) of the best fillings: one forward a hypothesis, nothing shared and nothing batched."""
    tokenizer = objective.tokenizer
    ids = tokenizer(text.replace("[MASK]", tokenizer.mask_token))["input_ids"]
    masks = [place for place, token in enumerate(ids) if token == tokenizer.mask_token_id]
    beam: dict[tuple[tuple[int, int], ...], float] = {(): 0.0}  # (place, token) of what is filled → log_prob
    for _ in masks:
        grown: dict[tuple[tuple[int, int], ...], float] = {}
        for filled, log_prob in beam.items():
            row = torch.tensor([[dict(filled).get(place, token) for place, token in enumerate(ids)]])
            with torch.no_grad():
                scores = objective.model(input_ids=row, attention_mask=torch.ones_like(row)).logits[0].log_softmax(-1)
            place = max((m for m in masks if m not in dict(filled)), key=lambda m: float(scores[m].max()))
            for score, token in zip(*(t.tolist() for t in scores[place].topk(width)), strict=True):
                key = tuple(sorted([*filled, (place, token)]))
                grown[key] = max(grown.get(key, -np.inf), log_prob + score)
        beam = dict(sorted(grown.items(), key=lambda pair: -pair[1])[:width])
    return [(tuple(token for _, token in filled), log_prob) for filled, log_prob in beam.items()]


def pseudo_log_prob(objective: TextObjective, text: str, filled: tuple[int, ...]) -> float:
    """One forward a mask, in which only that mask is open."""
    mask = objective.tokenizer.mask_token_id
    ids = objective.tokenizer(text.replace("[MASK]", objective.mask_token))["input_ids"]
    places = [place for place, token in enumerate(ids) if token == mask]
    total = 0.0
    for open_ in places:
        row = torch.tensor([ids])
        row[0, places] = torch.tensor(filled)
        row[0, open_] = mask
        with torch.no_grad():
            logits = objective.model(input_ids=row, attention_mask=torch.ones_like(row)).logits[0, open_]
        total += float(logits.log_softmax(-1)[filled[places.index(open_)]])
    return total


def tokens(sequence: FilledSequence) -> tuple[int, ...]:
    return tuple(each.token for each in sequence.tokens)


@pytest.mark.parametrize("architecture", ["bert", "roberta", "albert", "modernbert", "deberta-v2"])
@pytest.mark.parametrize("width", [1, 6])
def test_it_is_a_plain_beam_search(objectives: Any, architecture: str, width: int) -> None:
    objective = objectives(architecture)
    (result,) = fill(objective, TEXT, num_sequences=width)
    assert result.sequences is not None
    found = sorted(result.sequences, key=lambda each: -each.log_prob)
    reference = expected(objective, TEXT, width)
    assert [tokens(each) for each in found] == [tokens_ for tokens_, _ in reference]
    assert [each.log_prob for each in found] == pytest.approx([p for _, p in reference], rel=1e-4)
    # What was found is ranked by how probable each token is given all others.
    judged = [pseudo_log_prob(objective, TEXT, tokens(each)) for each in result.sequences]
    assert [each.pseudo_log_prob for each in result.sequences] == pytest.approx(judged, rel=1e-4)
    assert judged == pytest.approx(sorted(judged, reverse=True))


def test_the_masks_by_themselves_stay_as_they_are(bert: TextObjective) -> None:
    (alone,), (beside,) = fill(bert, TEXT, top_k=3), fill(bert, TEXT, top_k=3, num_sequences=9)
    assert alone.sequences is None
    assert beside.sequences is not None and len(beside.sequences) == 9
    assert beside.tokens == alone.tokens
    for one, other in zip(alone.masks, beside.masks, strict=True):
        assert [c.token for c in other.candidates] == [c.token for c in one.candidates]
        assert [c.score for c in other.candidates] == pytest.approx([c.score for c in one.candidates])


def test_of_one_mask_it_is_the_mask_by_itself(roberta: TextObjective) -> None:
    (result,) = fill(roberta, "The capital of France is <mask>.", top_k=7, num_sequences=7)
    candidates = result.masks[0].candidates
    assert result.sequences is not None
    assert [(s.sequence, s.tokens) for s in result.sequences] == [
        (c.sequence, [FilledToken(c.token, c.token_str)]) for c in candidates
    ]
    assert np.exp([s.log_prob for s in result.sequences]) == pytest.approx([c.score for c in candidates], rel=1e-5)


def test_targets_are_the_only_candidates(bert: TextObjective) -> None:
    (result,) = fill(bert, "[MASK] and [MASK]", targets=("lions", "zebras", "##s"), num_sequences=20)
    assert result.sequences is not None
    found = {tuple(token.token_str for token in each.tokens) for each in result.sequences}
    words = ("lions", "zebras", "##s")
    assert found == {(a, b) for a in words for b in words}
    filled = {tuple(token.token_str for token in each.tokens): each.sequence for each in result.sequences}
    assert filled["lions", "zebras"] == "lions and zebras"
    assert filled["lions", "##s"] == "lions ands"


def test_the_users_text_is_kept_around_what_is_filled(roberta: TextObjective) -> None:
    (result,) = fill(roberta, "Naïve 🦊\n[MASK]<mask> and  <mask>!", targets=("the", "he"), num_sequences=8)
    assert result.sequences is not None
    by_tokens = {tuple(token.token_str for token in each.tokens): each.sequence for each in result.sequences}
    assert by_tokens[" the", " the", " the"] == "Naïve 🦊\nthe the and  the!"


def test_texts_share_rounds_and_change_nothing(bert: TextObjective) -> None:
    texts = [TEXT, "[MASK] boils.", "The lions [MASK] the [MASK]."]
    together = fill(bert, *texts, num_sequences=4)
    for text, result in zip(texts, together, strict=True):
        (alone,) = fill(bert, text, num_sequences=4)
        assert alone.sequences is not None and result.sequences is not None
        assert [tokens(each) for each in result.sequences] == [tokens(each) for each in alone.sequences]
        assert [s.log_prob for s in result.sequences] == pytest.approx([s.log_prob for s in alone.sequences], rel=1e-4)


def test_truncation_keeps_the_masks_in_place(bert: TextObjective) -> None:
    text = "the " * 70 + "[MASK] is [MASK]" + " of" * 50
    (result,) = fill(bert, text, num_sequences=2, truncate=True)
    assert result.sequences is not None
    for each in result.sequences:
        assert "[MASK]" not in each.sequence and each.sequence.startswith("the " * 69)


def test_a_model_that_computes_nan_is_an_error(folders: Any) -> None:
    broken = load_text(folders("bert"))
    with torch.no_grad():
        broken.model.get_output_embeddings().bias[7] = torch.nan
    with pytest.raises(AppError, match="not finite"):
        fill(broken, TEXT, num_sequences=2)
