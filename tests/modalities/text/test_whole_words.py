"""Whole words as candidates, beside a beam search of one forward at a time of transformers' own model."""

from typing import Any

import pytest
import torch

from app.errors import InvalidValue
from app.modalities.text.filling.whole_words import MAX_TOKENS, is_word
from app.modalities.text.items import FillMaskItem, WordCandidate
from app.modalities.text.objective import TextObjective
from app.types import Normalization, Task
from tests.fakes.perform import perform

TEXT = "The capital of [MASK] is [MASK]."
WIDTH = 8


def words(objective: TextObjective, text: str = TEXT, **options: Any) -> list[list[WordCandidate]]:
    item = FillMaskItem(text, whole_words=True, **({"top_k": WIDTH} | options))
    (result,) = perform(objective.tasks[Task.FILL_MASK], [item])
    return [list(mask.candidates) for mask in result.masks]  # type: ignore[arg-type]


def reference(objective: TextObjective, index: int) -> dict[tuple[int, ...], float]:
    """The log-probabilities of the words of a beam search for each length, by WordPiece's own marks."""
    tokenizer = objective.tokenizer
    named = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    begins = [i for i, name in enumerate(named) if name.isalnum()]
    goes_on = [i for i, name in enumerate(named) if name.startswith("##") and name[2:].isalnum()]
    ids, mask = tokenizer(TEXT)["input_ids"], tokenizer.mask_token_id
    place = [i for i, token in enumerate(ids) if token == mask][index]
    found: dict[tuple[int, ...], float] = {}
    for length in range(1, MAX_TOKENS + 1):
        beam: dict[tuple[int, ...], float] = {(): 0.0}
        for at in range(length):
            grown: dict[tuple[int, ...], float] = {}
            for word, log_prob in beam.items():
                row = torch.tensor([[*ids[:place], *word, *[mask] * (length - at), *ids[place + 1 :]]])
                with torch.no_grad():
                    logits = objective.model(input_ids=row, attention_mask=torch.ones_like(row)).logits
                scores = logits[0, place + at].log_softmax(-1)
                grown |= {(*word, token): log_prob + float(scores[token]) for token in (goes_on if at else begins)}
            beam = dict(sorted(grown.items(), key=lambda pair: -pair[1])[:WIDTH])
        found |= beam
    return found


def test_words_are_those_of_a_plain_beam_search(bert: TextObjective) -> None:
    for index, found in enumerate(words(bert)):
        expected = reference(bert, index)
        best = sorted(expected.values(), reverse=True)[: len(found)]
        assert [each.log_prob for each in found] == pytest.approx(best, abs=1e-4)
        for each in found:
            assert expected[tuple(token.token for token in each.tokens)] == pytest.approx(each.log_prob, abs=1e-4)


def test_words_of_several_tokens_are_ranked_with_single_ones(bert: TextObjective) -> None:
    found, _ = words(bert, top_k=60, normalization=Normalization.LENGTH)
    assert {len(each.tokens) for each in found} >= {1, 2}
    means = [each.score_per_token for each in found]
    assert means == sorted(means, reverse=True)
    assert len({each.token_str for each in found}) == len(found)
    for each in found:
        assert each.sequence == f"The capital of {each.token_str} is [MASK]."


@pytest.mark.parametrize("architecture", ["bert", "roberta", "albert", "xlm-roberta"])
def test_no_part_of_a_word_is_an_answer(objectives: Any, architecture: str) -> None:
    objective = objectives(architecture)
    for found in words(objective):
        for each in found:
            first = objective.tokenizer.convert_ids_to_tokens(each.tokens[0].token)
            assert first.isalnum() if architecture == "bert" else first.startswith(("Ġ", "▁"))
            assert is_word(each.token_str.strip())


def test_a_word_at_the_start_of_a_text_may_have_no_space(roberta: TextObjective) -> None:
    found = words(roberta, "[MASK] is [MASK].", top_k=40)
    starts = [{each.tokens[0].token_str[:1] == " " for each in mask} for mask in found]
    assert starts == [{True, False}, {True}]


@pytest.mark.parametrize(
    "options", [{"targets": ("paris",)}, {"num_sequences": 2}, {"decode": "beam"}, {"max_rows": 20}]
)
def test_what_cannot_be_answered_is_refused(bert: TextObjective, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue) as caught:
        bert.tasks[Task.FILL_MASK].steps(FillMaskItem(TEXT, whole_words=True, **options))
    assert caught.value.param == "whole_words"


def test_words_of_a_text() -> None:
    assert all(map(is_word, ("cat", "don't", "well-known", "हिन्दी", "7")))
    assert not any(map(is_word, ("", ".", "-a", "a'", "a b", "a\ufffd")))
