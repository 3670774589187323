"""Texts that are longer than the model, in windows: compared with requests of one window each."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from app.errors import AppError
from app.inference.limits import RequestLimits
from app.inference.tasks import BOUNDS
from app.modalities.text.candidates.options import CandidateFilter, Distribution
from app.modalities.text.encoding import TextEncoder
from app.modalities.text.items import MAX_ROWS, DrawnMasks, FillMaskItem, FillMaskResult, ScoreItem
from app.modalities.text.objective import TextObjective
from app.modalities.text.scoring.items import PairItem
from app.modalities.text.windows import MAX_WINDOWS, plan_windows
from app.types import Task
from tests.fakes.perform import perform, rows_of
from tests.fakes.tiny_models import MAX_LENGTH

WORDS = ["the", "lions", "chase", "a", "of", "is", "in", "and"]  # of one token each
LIMITS = RequestLimits(inputs=8, top_k=50, masks=8, queued_inputs=8, line_bytes=1000)
PLACES = (0, 3, 31, 32, 61, 62, 63, 90, 118, 120, 121, 149)
LENGTH = 150

OPTIONS: list[dict[str, Any]] = [
    {},
    {"stride": 7},
    {"stride": 0},
    {"targets": ("lions", "chase", "the"), "renormalize": True},
    {"targets": ("lions", "the lions chase", "a"), "renormalize": True},
    {"whole_words": True, "top_k": 3},
    {
        "filter": CandidateFilter(words_only=True),
        "renormalize": True,
        "distribution": Distribution(0.7, samples=3, seed=5, entropy=True),
    },
]


def find_window(length: int, place: int, room: int, stride: int) -> tuple[int, int]:
    """Returns the window in which a place is most central, by trying all of them."""
    best, found = -1, (0, 0)
    start = 0
    while True:
        start = min(start, max(length - room, 0))
        end = min(start + room, length)
        if start <= place < end:
            sides = [place - start] * (start > 0) + [end - 1 - place] * (end < length)
            if min(sides, default=length) > best:
                best, found = min(sides, default=length), (start, end)
        if end == length:
            return found
        start += room - stride


@pytest.mark.parametrize(("length", "room", "stride"), [(5, 8, 2), (9, 8, 4), (100, 8, 0), (100, 9, 4), (7, 1, 0)])
def test_each_place_is_in_its_most_central_window(length: int, room: int, stride: int) -> None:
    places = sorted(np.random.default_rng(length).permutation(length)[: min(length, 20)].tolist())
    windows = plan_windows(length, places, room, stride)
    assert [place for window in windows for place in window.places] == places
    for window in windows:
        assert {find_window(length, place, room, stride) for place in window.places} == {window.span}


def masked(words: list[str], places: tuple[int, ...]) -> list[str]:
    return ["[MASK]" if number in places else word for number, word in enumerate(words)]


def fill(objective: TextObjective, item: FillMaskItem) -> FillMaskResult:
    result: FillMaskResult = perform(objective.tasks[Task.FILL_MASK], [item])[0]
    return result


def read_candidates(mask: Any) -> list[tuple[Any, ...]]:
    return [(each.token, each.token_str, pytest.approx(each.score, rel=1e-3, abs=1e-7)) for each in mask.candidates]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("architecture", ["bert", "roberta"])
def test_a_mask_is_answered_as_in_a_request_of_its_window(
    objectives: Any, architecture: str, options: dict[str, Any]
) -> None:
    objective = objectives(architecture)
    words = masked([WORDS[number % len(WORDS)] for number in range(LENGTH)], PLACES)
    text = " ".join(words)
    item = FillMaskItem(text, windows=True, **options)
    several = [way for target in item.targets if " " in target for way in (target, f" {target}")]
    extra = 3 if item.whole_words else max((len(objective.encoder.content_ids(way)) for way in several), default=1) - 1
    content = objective.encoder.content_ids(text.replace("[MASK]", objective.mask_token))
    assert len(content) == LENGTH
    room = MAX_LENGTH - 2 - extra
    result = fill(objective, item)
    assert [(mask.position, text[mask.start : mask.end]) for mask in result.masks] == [
        (place + 1, "[MASK]") for place in PLACES
    ]
    for number, (place, mask) in enumerate(zip(PLACES, result.masks, strict=True)):
        start, end = find_window(LENGTH, place, room, room // 2 if item.stride is None else item.stride)
        part = " " * (start > 0) + " ".join(words[start:end])  # a byte-level token has the space before it
        alone = fill(objective, replace(item, text=part, windows=False, stride=None, truncate=True))
        expected = alone.masks[sum(start <= other < place for other in PLACES)]
        assert [(each.token, each.token_str, each.score) for each in mask.candidates] == read_candidates(expected)
        assert mask.candidates[0].sequence.count(objective.mask_token) == len(PLACES) - 1
        if item.distribution.entropy:
            assert mask.entropy == pytest.approx(expected.entropy, rel=1e-4)
            assert number or mask.samples == expected.samples  # draws depend on the number


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_text_that_fits_is_answered_as_without_windows(bert: TextObjective, options: dict[str, Any]) -> None:
    text = "The [MASK] chase the [MASK] in the savanna."
    plain = FillMaskItem(text, **{**options, "stride": None})
    assert fill(bert, replace(plain, windows=True, stride=options.get("stride"))) == fill(bert, plain)


@pytest.mark.parametrize(("architecture", "stride"), [("bert", None), ("roberta", 9)])
def test_a_token_is_scored_as_in_a_request_of_its_window(
    objectives: Any, architecture: str, stride: int | None
) -> None:
    handler = objectives(architecture).tasks[Task.SCORE]
    words = [f" {WORDS[number % len(WORDS)]}" for number in range(100)]
    item = ScoreItem("".join(words), windows=True, stride=stride, top_k=2)
    (result,) = perform(handler, [item])
    room = MAX_LENGTH - 2
    spans = [find_window(100, place, room, room // 2 if stride is None else stride) for place in range(100)]
    parts = {(a, b): ScoreItem("".join(words[a:b]), top_k=2) for a, b in spans}
    alone = dict(zip(parts, perform(handler, list(parts.values())), strict=True))
    assert [item.text[each.start : each.end].strip() for each in result.scored] == [word.strip() for word in words]
    for place, (found, (start, end)) in enumerate(zip(result.scored, spans, strict=True)):
        expected = alone[start, end].scored[place - start]
        assert (found.token, found.log_prob) == (expected.token, pytest.approx(expected.log_prob, abs=1e-4))
        assert [each.token for each in found.candidates] == [each.token for each in expected.candidates]
    assert result.tokens == sum(each.tokens for each in alone.values())
    fits = ScoreItem("The lions chase.", windows=True, drawn=DrawnMasks(0.5, 3))
    assert perform(handler, [fits]) == perform(handler, [replace(fits, windows=False)])


def test_tokens_that_are_drawn_in_windows_are_masked_together(bert: TextObjective) -> None:
    item = ScoreItem(" ".join(["the"] * LENGTH), windows=True, drawn=DrawnMasks(0.4, 3))
    rows = rows_of(bert.tasks[Task.SCORE], item)
    assert len(rows) == 60
    for row in rows:
        assert row.inputs.masked[0] == row.inputs.places[0]
        assert set(row.inputs.masked) <= set(range(1, MAX_LENGTH - 1))
        assert 10 < len(row.inputs.masked) < 40


def test_scores_in_windows_take_bounded_rows(bert: TextObjective) -> None:
    with pytest.raises(AppError, match="takes 150 rows") as caught:
        bert.tasks[Task.SCORE].steps(ScoreItem(" ".join(["the"] * LENGTH), windows=True, max_rows=149))
    assert caught.value.param == "overflow"
    items = [ScoreItem("a", windows=True)] * 4
    assert {item.max_rows for item in BOUNDS[Task.SCORE].limit(items, LIMITS, {})} == {MAX_ROWS // 4}
    pairs = [PairItem(items[0], items[0])] * 4
    assert {pair.bad.max_rows for pair in BOUNDS[Task.SCORE].limit(pairs, LIMITS, {})} == {MAX_ROWS // 8}


def test_all_windows_are_rows_of_one_step(bert: TextObjective) -> None:
    text = " ".join(masked(["the"] * LENGTH, (0, 149)))
    rows = rows_of(bert.tasks[Task.FILL_MASK], FillMaskItem(text, windows=True))
    assert [(len(row.inputs.ids), row.inputs.positions) for row in rows] == [(64, [1]), (64, [62])]


@pytest.mark.parametrize(
    ("text", "options", "message", "param"),
    [
        ("[MASK]", {"stride": 32}, "at most 31 in common", "stride"),
        ("[MASK]", {"stride": 30, "whole_words": True}, "windows of 59 tokens", "stride"),
        ("[MASK] " + "the " * 61 * (MAX_WINDOWS + 1) + "x" * 10**6, {}, "a text in 64 windows may have", "input"),
        (" ".join(["[MASK]"] * 62 * 70), {"stride": 0, "max_masks": 5000}, "takes 70 windows", "input"),
        ("the " * 100, {}, "no mask", "input"),
        (" " * 100, {}, "empty", "input"),
    ],
)
def test_faults_name_their_field(
    bert: TextObjective, text: str, options: dict[str, Any], message: str, param: str
) -> None:
    with pytest.raises(AppError, match=message) as caught:
        bert.tasks[Task.FILL_MASK].steps(FillMaskItem(text, windows=True, **options))
    assert caught.value.param == param


def test_windows_without_room_are_refused() -> None:
    with pytest.raises(AppError, match="too few tokens"):
        plan_windows(10, [1], 0, None)


def test_a_text_beyond_the_bound_is_refused_before_it_is_tokenized(
    bert: TextObjective, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TextEncoder, "content_ids", lambda *_: pytest.fail("tokenized"))
    with pytest.raises(AppError, match="characters"):
        bert.tasks[Task.FILL_MASK].steps(FillMaskItem("[MASK] " * 10**6, windows=True))


@pytest.mark.parametrize("option", [{"num_sequences": 2}, {"decode": "beam"}])
def test_joint_fillings_are_not_in_windows(option: dict[str, Any]) -> None:
    for text, given in (("[MASK]", option), ("[MASK:1-2]", {})):
        with pytest.raises(AppError) as caught:
            FillMaskItem(text, windows=True, **given)
        assert caught.value.param == "overflow"
