"""Filters, temperature, samples and entropy, beside plain loops over the logits of transformers' own forward."""

import math
import re
from typing import Any

import pytest
import torch

from app.errors import InputTooLong, InvalidValue
from app.modalities.text.candidates.options import CandidateFilter, Distribution
from app.modalities.text.candidates.results import MeasuredPrediction
from app.modalities.text.encoding import TextEncoder
from app.modalities.text.items import FillMaskItem, FillMaskResult, WordCandidate
from app.modalities.text.objective import TextObjective
from app.types import FillStrategy, Task
from tests.fakes.perform import perform

TEXT = "The lions chase the [MASK] in the [MASK]."


def fill(objective: TextObjective, *texts: str, **options: Any) -> list[FillMaskResult]:
    return perform(objective.tasks[Task.FILL_MASK], [FillMaskItem(text, **options) for text in texts])


def distributions(objective: TextObjective, text: str, temperature: float = 1.0) -> list[list[float]]:
    """The probabilities of the vocabulary at each mask of a text."""
    ids = objective.tokenizer(text.replace("[MASK]", objective.mask_token), return_tensors="pt")["input_ids"]
    with torch.no_grad():
        logits = objective.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
    places = (ids[0] == objective.tokenizer.mask_token_id).nonzero().flatten()
    return (logits[places].double() / temperature).softmax(-1).tolist()


def slowly_filtered(objective: TextObjective, text: str, accept: Any, top_k: int) -> list[list[tuple[int, float]]]:
    strings = [objective.tokenizer.decode([token]).strip() for token in range(len(objective.tokenizer))]
    found = []
    for probabilities in distributions(objective, text):
        left = [(token, probabilities[token]) for token, string in enumerate(strings) if accept(token, string)]
        found.append(sorted(left, key=lambda pair: -pair[1])[:top_k])
    return found


def compare(result: FillMaskResult, reference: list[list[tuple[int, float]]]) -> None:
    assert [[c.token for c in mask.candidates] for mask in result.masks] == [[t for t, _ in m] for m in reference]
    for mask, expected in zip(result.masks, reference, strict=True):
        assert [c.score for c in mask.candidates] == pytest.approx([score for _, score in expected], rel=1e-4)


@pytest.mark.parametrize("architecture", ["bert", "roberta", "xlm-roberta"])
@pytest.mark.parametrize(
    ("given", "accept"),
    [
        (CandidateFilter(pattern="^[s-z]"), lambda token, string: bool(re.search("^[s-z]", string))),
        (CandidateFilter(ban=("the", "in")), lambda token, string: string not in ("the", "in")),
        (CandidateFilter(allow=("the", "s")), lambda token, string: string in ("the", "s")),
        (
            CandidateFilter(no_repeats=True),
            lambda token, string: string.lower() not in {"the", "lions", "chase", "in", "."},
        ),
    ],
)
def test_filters_are_the_plain_loop(objectives: Any, architecture: str, given: CandidateFilter, accept: Any) -> None:
    objective = objectives(architecture)
    (result,) = fill(objective, TEXT, filter=given, top_k=7)
    compare(result, slowly_filtered(objective, TEXT, accept, 7))


def test_words_only_keeps_what_begins_a_word(bert: TextObjective, roberta: TextObjective) -> None:
    (mask, _) = fill(bert, TEXT, filter=CandidateFilter(words_only=True), top_k=1000)[0].masks
    vocabulary = bert.tokenizer.get_vocab()
    words = {token for entry, token in vocabulary.items() if entry.isalnum()}
    assert {c.token for c in mask.candidates} == words
    (mask, _) = fill(roberta, TEXT, filter=CandidateFilter(words_only=True), top_k=1000)[0].masks
    assert len(mask.candidates) > 20
    assert all(c.token_str.startswith(" ") and c.token_str.strip().isalnum() for c in mask.candidates)


def test_renormalized_scores_sum_to_one_over_what_passes(bert: TextObjective) -> None:
    given = CandidateFilter(pattern="^s")
    plain, rescaled = (fill(bert, TEXT, filter=given, renormalize=r, top_k=1000)[0].masks[0] for r in (False, True))
    total = sum(c.score for c in plain.candidates)
    assert total < 0.9
    assert [c.score for c in rescaled.candidates] == pytest.approx([c.score / total for c in plain.candidates])
    (few, _) = fill(bert, TEXT, filter=given, renormalize=True, top_k=2)[0].masks
    assert [c.score for c in few.candidates] == pytest.approx([c.score for c in rescaled.candidates[:2]])


def test_temperature_and_entropy_are_of_the_whole_vocabulary(bert: TextObjective) -> None:
    options = Distribution(temperature=0.5, entropy=True)
    (result,) = fill(bert, TEXT, distribution=options, filter=CandidateFilter(words_only=True))
    for mask, expected in zip(result.masks, distributions(bert, TEXT, 0.5), strict=True):
        assert isinstance(mask, MeasuredPrediction)
        assert [c.score for c in mask.candidates] == pytest.approx([expected[c.token] for c in mask.candidates], 1e-4)
        assert mask.entropy == pytest.approx(-sum(p * math.log(p) for p in expected if p), rel=1e-4)


def test_samples_depend_on_the_seed_and_follow_the_distribution(bert: TextObjective) -> None:
    options = {"filter": CandidateFilter(words_only=True), "distribution": Distribution(samples=1000, seed=7)}
    alone = fill(bert, TEXT, **options)[0]
    beside = fill(bert, "Paris is [MASK].", TEXT, **options)[1]
    drawn = [
        [sample.token for sample in mask.samples or []] for mask in alone.masks if isinstance(mask, MeasuredPrediction)
    ]
    again = [
        [sample.token for sample in mask.samples or []] for mask in beside.masks if isinstance(mask, MeasuredPrediction)
    ]
    assert drawn == again and drawn[0] != drawn[1]
    everything = fill(bert, TEXT, filter=options["filter"], renormalize=True, top_k=1000)[0]
    for mask, tokens in zip(everything.masks, drawn, strict=True):
        best = mask.candidates[0]
        error = math.sqrt(best.score * (1 - best.score) / 1000)
        assert abs(tokens.count(best.token) / 1000 - best.score) < 4 * error
        assert set(tokens) <= {c.token for c in mask.candidates}


def test_filters_restrict_joint_fillings_which_repeat_no_word(bert: TextObjective) -> None:
    given = CandidateFilter(words_only=True, no_repeats=True, pattern="^[a-z]")
    (result,) = fill(bert, TEXT, filter=given, num_sequences=5)
    assert result.sequences and len(result.sequences) == 5
    for sequence in result.sequences:
        words = [token.token_str for token in sequence.tokens]
        assert len(set(words)) == 2
        assert all(word.isalpha() and word not in ("the", "lions", "chase", "in") for word in words)


def test_targets_are_filtered_too(bert: TextObjective) -> None:
    targets = ("lions", "paris", "the")
    (result,) = fill(bert, TEXT, targets=targets, filter=CandidateFilter(no_repeats=True), renormalize=True)
    assert [[c.token_str for c in mask.candidates] for mask in result.masks] == [["paris"], ["paris"]]
    assert result.masks[0].candidates[0].score == pytest.approx(1)


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"filter": CandidateFilter(pattern="^qqqq$")}, "pattern"),
        ({"filter": CandidateFilter(pattern="(")}, "pattern"),
        ({"filter": CandidateFilter(pattern="(?=a)")}, "pattern"),
        ({"filter": CandidateFilter(pattern="(?:a{1000}){1000}")}, "pattern"),
        ({"filter": CandidateFilter(allow=("qqqq",))}, "allow"),
        ({"filter": CandidateFilter(allow=("lions",), ban=("lions",))}, "allow"),
        ({"filter": CandidateFilter(ban=("the",)), "targets": ("the",)}, "targets"),
        ({"distribution": Distribution(samples=2), "targets": ("the",)}, "sample"),
        ({"distribution": Distribution(entropy=True), "whole_words": True}, "whole_words"),
        ({"distribution": Distribution(entropy=True), "targets": ("lions zebras",)}, "entropy"),
    ],
)
def test_what_leaves_nothing_or_cannot_be_combined_is_refused(
    bert: TextObjective, options: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidValue) as caught:
        fill(bert, TEXT, **options)
    assert caught.value.param == param


def test_spans_take_filters_and_a_temperature(bert: TextObjective) -> None:
    accepted = CandidateFilter(pattern="^(lions|zebras|the)$")
    text = "The lions chase the [MASK:1-2] now."
    (result,) = fill(bert, text, filter=accepted, num_sequences=9, distribution=Distribution(0.5))
    found = result.sequences or []
    assert {token.token_str for each in found for token in each.tokens} == {"lions", "zebras", "the"}
    assert {len(each.tokens) for each in found} == {1, 2}
    ((*probabilities,),) = distributions(bert, text.replace(":1-2", ""), 0.5)
    for each in found:
        if len(each.tokens) == 1:
            assert each.log_prob == pytest.approx(math.log(probabilities[each.tokens[0].token]), abs=1e-3)


def test_targets_of_several_tokens_are_filtered_and_keep_their_numbers(bert: TextObjective) -> None:
    targets = ("zebras", "the lions", "a", "zebras", "lions")
    options = {"filter": CandidateFilter(ban=("a", "lions")), "distribution": Distribution(0.5)}
    (result,) = fill(bert, "She saw [MASK].", targets=targets, **options)
    found = {each.target: each.log_prob for each in result.masks[0].candidates if isinstance(each, WordCandidate)}
    assert sorted(found) == [0, 1, 3]
    vocabulary = bert.tokenizer.get_vocab()
    ((*alone,),) = distributions(bert, "She saw [MASK].", 0.5)
    first, _ = distributions(bert, "She saw [MASK] [MASK].", 0.5)
    ((*second,),) = distributions(bert, "She saw the [MASK].", 0.5)
    assert found[0] == found[3] == pytest.approx(math.log(alone[vocabulary["zebras"]]), abs=1e-3)
    both = math.log(first[vocabulary["the"]]) + math.log(second[vocabulary["lions"]])
    assert found[1] == pytest.approx(both, abs=1e-3)


@pytest.mark.parametrize(
    ("text", "options", "param"),
    [
        ("[MASK:2]", {"filter": CandidateFilter(no_repeats=True)}, "no_repeats"),
        ("[MASK]", {"filter": CandidateFilter(no_repeats=True), "decode": FillStrategy.INDEPENDENT}, "no_repeats"),
        ("[MASK:2]", {"distribution": Distribution(entropy=True)}, "entropy"),
        ("[MASK:2]", {"distribution": Distribution(samples=1)}, "sample"),
        ("[MASK:2]", {"filter": CandidateFilter(pattern="qqqq")}, "pattern"),
        ("[MASK]", {"targets": ("the lions",), "distribution": Distribution(entropy=True)}, "entropy"),
    ],
)
def test_options_of_single_masks_are_refused_elsewhere(
    bert: TextObjective, text: str, options: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidValue) as caught:
        fill(bert, text, **options)
    assert caught.value.param == param


@pytest.mark.parametrize("decode", [FillStrategy.BEAM, FillStrategy.GREEDY, FillStrategy.GIBBS])
def test_more_masks_than_words_that_pass_are_refused(bert: TextObjective, decode: FillStrategy) -> None:
    accepted = CandidateFilter(allow=("lions", "zebras"), no_repeats=True)
    (result,) = fill(bert, "[MASK] [MASK]", filter=accepted, decode=decode)
    assert [{token.token_str for token in each.tokens} for each in result.sequences or []] == [{"lions", "zebras"}]
    with pytest.raises(InvalidValue, match="fewer different words") as caught:
        fill(bert, "[MASK] [MASK] [MASK]", filter=accepted, decode=decode)
    assert caught.value.param == "no_repeats"


def test_words_of_a_huge_text_are_not_read(bert: TextObjective, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    content = TextEncoder.content
    monkeypatch.setattr(
        TextEncoder, "content", lambda self, text, *a: read.append(len(text)) or content(self, text, *a)
    )
    item = FillMaskItem("[MASK] " + "the " * 500_000, truncate=True, filter=CandidateFilter(no_repeats=True))
    with pytest.raises(InputTooLong, match="`no_repeats` reads at most"):
        bert.tasks[Task.FILL_MASK].steps(item)
    assert not read
