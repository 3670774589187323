"""Long and hostile texts: what is tokenized of them, and what is refused before."""

from typing import Any

import numpy as np
import pytest

from app.errors import InputTooLong, NoMask
from app.modalities.embedding import EmbedItem
from app.modalities.text.encoding import QUICK_CHARACTERS, TextEncoder
from app.modalities.text.items import FillMaskItem, ScoreItem
from app.modalities.text.objective import TextObjective
from app.types import Task, TruncationSide
from tests.fakes.perform import perform, rows_of
from tests.fakes.tiny_models import MAX_LENGTH

PROSE = "The lions chase the zebras, and 3 naïve café-goers watch: “so what?” 東京 🦁 "
SIDES = tuple(TruncationSide)


def encoder(objective: TextObjective) -> TextEncoder:
    return objective.encoder


def beyond(objective: TextObjective, text: str = PROSE) -> str:
    """The text again and again, well beyond what is tokenized of it."""
    return text * (2 * encoder(objective).max_characters(MAX_LENGTH) // len(text) + 1)


@pytest.mark.parametrize("architecture", ["bert", "roberta", "xlm-roberta", "albert", "deberta-v2"])
def test_a_long_text_is_tokenized_as_a_short_one(objectives: Any, architecture: str) -> None:
    objective = objectives(architecture)
    text = PROSE * (QUICK_CHARACTERS // len(PROSE) + 1)
    assert len(text) > QUICK_CHARACTERS
    expected = objective.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
    content = encoder(objective).content(text)
    assert (content.ids, content.offsets) == (expected.ids, expected.offsets)
    assert content.words == expected.word_ids


@pytest.mark.parametrize(("task", "item"), [(Task.EMBED, EmbedItem), (Task.SCORE, ScoreItem), (Task.FILL_MASK, None)])
def test_a_text_beyond_the_bound_is_refused_before_it_is_tokenized(
    bert: TextObjective, monkeypatch: pytest.MonkeyPatch, task: Task, item: Any
) -> None:
    for method in ("content", "content_ids"):
        monkeypatch.setattr(TextEncoder, method, lambda *_, **__: pytest.fail("tokenized"))
    text = beyond(bert) + " [MASK]"
    with pytest.raises(InputTooLong, match=rf"{len(text)} characters and the model reads at most {MAX_LENGTH} tokens"):
        bert.tasks[task].steps((item or FillMaskItem)(text))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("architecture", ["bert", "roberta", "xlm-roberta"])
def test_truncation_beyond_the_bound_gives_what_tokenizing_all_of_it_gives(
    objectives: Any, monkeypatch: pytest.MonkeyPatch, architecture: str, side: TruncationSide
) -> None:
    objective = objectives(architecture)
    text = beyond(objective)
    item = EmbedItem(text, truncate=True, truncation_side=side)
    cut = rows_of(objective.tasks[Task.EMBED], item)[0].inputs.ids
    monkeypatch.setattr(TextEncoder, "max_characters", lambda *_: len(text))
    assert rows_of(objective.tasks[Task.EMBED], item)[0].inputs.ids == cut


@pytest.mark.parametrize("side", [*SIDES, None])
@pytest.mark.parametrize("place", [0.01, 0.5, 0.99])
def test_a_mask_survives_truncation_wherever_it_is(
    bert: TextObjective, side: TruncationSide | None, place: float
) -> None:
    text = beyond(bert)
    middle = int(len(text) * place)
    text = f"{text[:middle]} [MASK] {text[middle:]}"
    item = FillMaskItem(text, top_k=1, truncate=True, truncation_side=side)
    (result,) = perform(bert.tasks[Task.FILL_MASK], [item])
    (mask,) = result.masks
    assert text[mask.start : mask.end] == "[MASK]"
    assert len(mask.candidates[0].sequence) > len(text) - len(" [MASK] ")


def test_masks_further_apart_than_the_bound_are_refused(bert: TextObjective) -> None:
    item = FillMaskItem(f"[MASK] {beyond(bert)} [MASK]", truncate=True)
    with pytest.raises(InputTooLong, match="truncation would lose a mask"):
        bert.tasks[Task.FILL_MASK].prepare(item)


def test_scores_of_the_end_of_a_long_text_keep_its_offsets(bert: TextObjective) -> None:
    text = beyond(bert, "the lions chase ") + "the zebras"
    item = ScoreItem(text, truncate=True, truncation_side=TruncationSide.LEFT)
    (result,) = perform(bert.tasks[Task.SCORE], [item])
    last = result.scored[-1]
    assert (last.end, text[last.start : last.end]) == (len(text), "zebras"[-(last.end - last.start) :])


@pytest.mark.parametrize("text", ["[" * 600_000, "[MASK" * 60_000, "no mask " * 40_000])
def test_masks_are_found_as_the_pattern_finds_them(bert: TextObjective, text: str) -> None:
    for whole in (text, text[:262_140] + "[MASK]" + text, text + "[MASK][MASK]"):
        expected = [found.span() for found in encoder(bert).mask_pattern.finditer(whole)]
        assert list(encoder(bert).mask_spans(whole)) == expected


def test_a_long_text_without_a_mask_says_so(bert: TextObjective) -> None:
    with pytest.raises(NoMask):
        bert.tasks[Task.FILL_MASK].prepare(FillMaskItem(beyond(bert), truncate=True))


def test_a_text_of_the_greatest_length_fits_the_bound(bert: TextObjective) -> None:
    longest = max(bert.tokenizer.get_vocab(), key=len)
    assert MAX_LENGTH * len(longest) <= encoder(bert).max_characters(MAX_LENGTH)


def test_the_vectors_of_cut_texts_are_finite(bert: TextObjective) -> None:
    (result,) = perform(bert.tasks[Task.EMBED], [EmbedItem("[" * 300_000, truncate=True)])
    assert np.isfinite(result.vector).all()
