"""Masks by meaning, beside a plain forward of transformers with the same tokens masked."""

from typing import Any

import pytest
import torch
from transformers import AutoModelForMaskedLM

from app.errors import AppError, InputTooLong, InvalidValue
from app.methods.tokenizers import TokenizerOptions
from app.modalities.text.candidates.options import CandidateFilter, Distribution, MaskChoice
from app.modalities.text.candidates.results import MaskedResult
from app.modalities.text.items import DrawnMasks, FillMaskItem, ScoreItem
from app.modalities.text.new_tokenizers.kinds import train_tokenizer
from app.modalities.text.objective import TextObjective
from app.modalities.text.wordpieces import WordPieces
from app.types import Task
from tests.fakes.perform import perform, rows_of
from tests.fakes.tiny_models import MAX_LENGTH, tiny_config

TEXT = "The zebras chase unbelievable crème brûlée, again!"


def mask(objective: TextObjective, text: str, choice: MaskChoice, **options: Any) -> MaskedResult:
    (result,) = perform(objective.tasks[Task.FILL_MASK], [FillMaskItem(text, mask=choice, **options)])
    assert isinstance(result, MaskedResult)
    return result


def check(objective: TextObjective, text: str, result: MaskedResult) -> None:
    """Compares all tokens with one forward in which they are masked."""
    ids = objective.tokenizer(text, return_tensors="pt")["input_ids"]
    tokens = [token for group in result.masked for token in group.tokens]
    truths = [int(ids[0, token.position]) for token in tokens]
    ids[0, [token.position for token in tokens]] = objective.tokenizer.mask_token_id
    with torch.no_grad():
        scores = objective.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0].log_softmax(-1)
    for token, truth in zip(tokens, truths, strict=True):
        own = scores[token.position]
        assert token.token == truth
        assert token.log_prob == pytest.approx(float(own[truth]), rel=1e-4)
        assert abs(token.rank - 1 - int((own > own[truth]).sum())) <= 1  # equal but for the order of additions
        assert token.candidates[0].score == pytest.approx(float(own.max().exp()), rel=1e-4)


@pytest.mark.parametrize("architecture", ["bert", "roberta", "xlm-roberta"])
def test_every_token_of_a_span_is_masked(objectives: Any, architecture: str) -> None:
    objective = objectives(architecture)
    start = TEXT.index("unbel")
    result = mask(objective, TEXT, MaskChoice(spans=((start + 2, start + 20), (0, 4))))
    check(objective, TEXT, result)
    first, second = result.masked
    assert second.text == "The" and (second.start, second.end) == (0, 3)
    assert first.start <= start + 2 and first.end >= start + 20 and first.word is None
    assert len(first.tokens) > 3


@pytest.mark.parametrize("architecture", ["bert", "roberta"])
def test_words_are_those_of_scores(objectives: Any, architecture: str) -> None:
    objective = objectives(architecture)
    (scores,) = perform(objective.tasks[Task.SCORE], [ScoreItem(TEXT)])
    result = mask(objective, TEXT, MaskChoice(words=(3, 1)))
    check(objective, TEXT, result)
    assert [group.word for group in result.masked] == [3, 1]
    for group in result.masked:
        expected = [token for token in scores.scored if token.word == group.word]
        assert [(t.token, t.start, t.end) for t in group.tokens] == [(t.token, t.start, t.end) for t in expected]


def test_a_share_is_drawn_as_for_evaluations(bert: TextObjective) -> None:
    (scores,) = perform(bert.tasks[Task.SCORE], [ScoreItem(TEXT, drawn=DrawnMasks(0.3, 7))])
    result = mask(bert, TEXT, MaskChoice(ratio=0.3, seed=7))
    check(bert, TEXT, result)
    tokens = [token for group in result.masked for token in group.tokens]
    assert [token.start for token in tokens] == [token.start for token in scores.scored]
    assert [token.log_prob for token in tokens] == pytest.approx([token.log_prob for token in scores.scored], rel=1e-4)


def test_whole_words_are_drawn_whole(bert: TextObjective) -> None:
    (scores,) = perform(bert.tasks[Task.SCORE], [ScoreItem(TEXT)])
    result = mask(bert, TEXT, MaskChoice(ratio=0.5, seed=3, whole_words=True))
    for group in result.masked:
        assert len(group.tokens) == sum(token.word == group.word for token in scores.scored)


def test_many_masks_are_predicted_by_several_rows(bert: TextObjective) -> None:
    text = " ".join(["the"] * (MAX_LENGTH - 2))
    result = mask(bert, text, MaskChoice(ratio=1.0), top_k=1, distribution=Distribution(samples=2, entropy=True))
    check(bert, text, result)
    tokens = [token for group in result.masked for token in group.tokens]
    assert len(tokens) == MAX_LENGTH - 2
    assert all(token.entropy and len(token.samples or []) == 2 for token in tokens)


def test_filters_restrict_candidates_and_not_ranks(bert: TextObjective) -> None:
    choice = MaskChoice(words=(1,))
    plain = mask(bert, TEXT, choice)
    filtered = mask(bert, TEXT, choice, filter=CandidateFilter(words_only=True), renormalize=True, top_k=1000)
    for before, after in zip(plain.masked[0].tokens, filtered.masked[0].tokens, strict=True):
        assert after.rank == before.rank and after.log_prob == pytest.approx(before.log_prob, rel=1e-4)
        assert all(each.token_str.isalnum() for each in after.candidates)
        assert sum(each.score for each in after.candidates) == pytest.approx(1, rel=1e-4)


def test_a_long_text_is_cut_around_its_masks(bert: TextObjective) -> None:
    text = "the " * 200 + "zebras" + " the" * 200
    choice = MaskChoice(spans=((800, 806),))
    with pytest.raises(InputTooLong):
        mask(bert, text, choice)
    (group,) = mask(bert, text, choice, truncate=True).masked
    assert (group.text, group.start) == ("zebras", 800)


FAMILY = "A 👩‍👧 is 👍🏽 at 🇫🇷🇩🇪 in cafe\u0301 x"


@pytest.mark.parametrize(
    ("text", "choice", "param"),
    [
        (TEXT, {"spans": ((0, 1000),)}, "mask.spans"),
        (TEXT, {"spans": ((4, 4),)}, "mask.spans"),
        (TEXT, {"spans": ((6, 4),)}, "mask.spans"),
        (TEXT, {"spans": ((3, 4),)}, "mask.spans"),
        (TEXT, {"spans": ((0, 6), (5, 9))}, "mask.spans"),
        (TEXT, {"spans": ((0, 1), (2, 3))}, "mask.spans"),  # of one token
        (TEXT, {"spans": ((0, 3), (0, 3))}, "mask.spans"),
        (FAMILY, {"spans": ((0, 3),)}, "mask.spans"),
        (FAMILY, {"spans": ((2, 4),)}, "mask.spans"),
        (FAMILY, {"spans": ((FAMILY.index("👍"), FAMILY.index("👍") + 1),)}, "mask.spans"),
        (FAMILY, {"spans": ((FAMILY.index("🇫"), FAMILY.index("🇫") + 1),)}, "mask.spans"),
        (FAMILY, {"spans": ((0, FAMILY.index("\u0301")),)}, "mask.spans"),
        (TEXT, {"words": (99,)}, "mask.words"),
        (TEXT, {"words": (1, 1)}, "mask.words"),
        (TEXT, {"ratio": 0.0}, "mask.ratio"),
        (TEXT, {"ratio": 1.1}, "mask.ratio"),
        (TEXT, {"ratio": float("nan")}, "mask.ratio"),
        (TEXT, {}, "mask"),
        (TEXT, {"words": (1,), "ratio": 0.5}, "mask"),
        ("The [MASK] sleeps.", {"words": (0,)}, "mask"),
        ("The [MASK:1-2] sleeps.", {"words": (0,)}, "mask"),
        ("  ", {"words": (0,)}, "input"),
        ("[SEP]", {"words": (0,)}, "input"),
    ],
)
def test_faults_name_their_field(bert: TextObjective, text: str, choice: dict[str, Any], param: str) -> None:
    with pytest.raises(AppError) as caught:
        mask(bert, text, MaskChoice(**choice))
    assert caught.value.param == param


def test_whole_flags_and_families_can_be_masked(bert: TextObjective) -> None:
    start = FAMILY.index("🇩")
    (group,) = mask(bert, FAMILY, MaskChoice(spans=((start, start + 2),))).masked
    assert "🇩" in group.text


@pytest.mark.parametrize("option", [{"targets": ("the",)}, {"num_sequences": 2}, {"whole_words": True}])
def test_masks_by_meaning_take_no_other_task(option: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue) as caught:
        FillMaskItem(TEXT, mask=MaskChoice(words=(1,)), **option)
    assert caught.value.param == "mask"


def test_a_draw_has_nothing_to_cut_a_text_around() -> None:
    with pytest.raises(InvalidValue) as caught:
        FillMaskItem(TEXT, mask=MaskChoice(ratio=0.1), truncate=True, truncation_side=None)
    assert caught.value.param == "truncation_side"


@pytest.mark.parametrize(("kind", "masked"), [("characters", [3]), ("kmer", [1, 2, 3])])
def test_words_of_sequences_are_letters(kind: Any, masked: list[int]) -> None:
    text = "ACGTTGCA"
    tokenizer = train_tokenizer([text, text[::-1]] * 3, TokenizerOptions(tokenizer=kind, kmer_length=3), 32)
    config = tiny_config()
    config.vocab_size = len(tokenizer)
    objective = TextObjective(AutoModelForMaskedLM.from_config(config), tokenizer, has_head=True)
    for choice in (MaskChoice(words=(3,)), MaskChoice(spans=((3, 4),))):
        (row,) = rows_of(objective.tasks[Task.FILL_MASK], FillMaskItem(text, mask=choice))
        hidden = [i for i, token in enumerate(row.inputs.ids[1:-1]) if token == tokenizer.mask_token_id]
        assert (hidden, row.inputs.positions) == (masked, [4])
        (group,) = mask(objective, text, choice).masked
        assert [token.word for token in group.tokens] == [3]
    pieces, token = WordPieces(objective.encoder), len(tokenizer) - 1
    assert pieces.filled("ACG ", " A", token) == f"ACG {pieces.decoded(token)} A"  # the spaces stay
