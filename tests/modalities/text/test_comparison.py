"""Pairs and candidates, beside the scores of their texts one by one."""

import math
from typing import Any

import pytest

from app.errors import AppError, InputTooLong, InvalidValue, NoMask, TooManyMasks
from app.modalities.text.items import ScoreItem, ScoreMethod
from app.modalities.text.objective import TextObjective
from app.modalities.text.scoring.items import CandidatesItem, PairItem, RankBy
from app.types import Task
from tests.fakes.perform import perform

GOOD, BAD = "The lions chase the zebras.", "The lions zebras the, again"
CANDIDATES = ("zebras", "crème brûlée", "unbelievable lions", "the")


def score(objective: TextObjective, item: Any) -> Any:
    (result,) = perform(objective.tasks[Task.SCORE], [item])
    return result


@pytest.mark.parametrize("rank_by", RankBy)
def test_the_better_text_of_a_pair_is_preferred(bert: TextObjective, rank_by: RankBy) -> None:
    good, bad = (ScoreItem(text, method=ScoreMethod.ORIGINAL) for text in (GOOD, BAD))
    alone = [score(bert, item) for item in (good, bad)]
    pair = score(bert, PairItem(good, bad, rank_by))
    for figures, result in zip((pair.good, pair.bad), alone, strict=True):
        assert figures.log_likelihood == pytest.approx(result.log_likelihood, rel=1e-4)
        assert figures.pseudo_perplexity == pytest.approx(result.pseudo_perplexity, rel=1e-4)
    merits = [r.log_likelihood if rank_by is RankBy.LOG_LIKELIHOOD else -r.pseudo_perplexity for r in alone]
    assert pair.preferred == ("good" if merits[0] > merits[1] else "bad")
    assert pair.tokens == sum(result.tokens for result in alone)
    turned = score(bert, PairItem(bad, good, rank_by))
    assert {pair.preferred, turned.preferred} == {"good", "bad"}


def test_texts_of_the_same_tokens_are_a_tie(bert: TextObjective) -> None:
    assert score(bert, PairItem(ScoreItem(GOOD), ScoreItem(GOOD.upper()))).preferred == "tie"


@pytest.mark.parametrize("rank_by", RankBy)
def test_candidates_are_ranked_by_their_whole_text(bert: TextObjective, rank_by: RankBy) -> None:
    found = score(bert, CandidatesItem(ScoreItem("The lions chase [MASK], again!"), CANDIDATES, rank_by))
    alone = {each: score(bert, ScoreItem(f"The lions chase {each}, again!")) for each in CANDIDATES}
    for each in found.candidates:
        assert CANDIDATES[each.index] == each.candidate
        assert each.log_likelihood == pytest.approx(alone[each.candidate].log_likelihood, rel=1e-4)
        assert math.log(each.pseudo_perplexity) == pytest.approx(
            -each.log_likelihood / len(alone[each.candidate].scored), rel=1e-4
        )
    if rank_by is RankBy.LOG_LIKELIHOOD:
        order = sorted(CANDIDATES, key=lambda each: -alone[each].log_likelihood)
    else:
        order = sorted(CANDIDATES, key=lambda each: alone[each].pseudo_perplexity)
    assert [each.candidate for each in found.candidates] == order


def test_more_candidates_than_are_computed_at_once(bert: TextObjective) -> None:
    many = CANDIDATES * 40
    found = score(bert, CandidatesItem(ScoreItem("Lions chase [MASK]"), many))
    assert sorted(each.index for each in found.candidates) == list(range(len(many)))
    figures = {each.candidate: each.log_likelihood for each in found.candidates}
    assert len(figures) == len(CANDIDATES)
    assert all(each.log_likelihood == pytest.approx(figures[each.candidate], rel=1e-4) for each in found.candidates)


@pytest.mark.parametrize(
    ("text", "candidates", "error", "param"),
    [
        ("no mask", ("a",), NoMask, "input"),
        ("[MASK] and [MASK]", ("a",), TooManyMasks, "input"),
        ("a [MASK]", ("a", "b [MASK]"), InvalidValue, "candidates"),
        ("a [MASK]", ("a", "the " * 70), InputTooLong, "candidates"),
    ],
)
def test_mistakes_of_candidates(
    bert: TextObjective, text: str, candidates: tuple[str, ...], error: type[AppError], param: str
) -> None:
    with pytest.raises(error) as caught:
        score(bert, CandidatesItem(ScoreItem(text), candidates))
    assert caught.value.param == param
    assert param == "input" or "`candidates` 1" in caught.value.message


def test_the_text_of_a_pair_at_fault_is_named(bert: TextObjective) -> None:
    with pytest.raises(InputTooLong) as caught:
        score(bert, PairItem(ScoreItem(GOOD), ScoreItem("the " * 70)))
    assert caught.value.param == "pairs" and caught.value.message.startswith("`bad`: the input has 72 tokens")
