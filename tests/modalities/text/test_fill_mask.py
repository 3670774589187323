from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from transformers import FillMaskPipeline

from app.errors import AppError, EmptyInput, InputTooLong, InvalidValue, NoMask, TooManyMasks
from app.modalities.text.filling.rows import count_cost
from app.modalities.text.items import FillMaskItem, FillMaskResult
from app.modalities.text.load import load_text
from app.modalities.text.objective import TextObjective
from app.modalities.text.wordpieces import WordPieces
from app.types import Task, TruncationSide
from tests.fakes.perform import perform
from tests.fakes.tiny_models import MAX_LENGTH

PARIS = "The capital of France is [MASK]."


def fill(objective: TextObjective, text: str, **options: Any) -> FillMaskResult:
    return perform(objective.tasks[Task.FILL_MASK], [FillMaskItem(text, **options)])[0]


@pytest.mark.parametrize("architecture", ["bert", "roberta", "xlm-roberta"])
def test_scores_and_tokens_are_the_hugging_face_pipelines(objectives: Any, architecture: str) -> None:
    objective = objectives(architecture)
    pipeline = FillMaskPipeline(model=objective.model, tokenizer=objective.tokenizer)
    (ours,) = fill(objective, PARIS, top_k=9).masks
    theirs = pipeline(PARIS.replace("[MASK]", objective.mask_token), top_k=9)
    assert [(c.token, c.token_str) for c in ours.candidates] == [(c["token"], c["token_str"]) for c in theirs]
    assert [c.score for c in ours.candidates] == pytest.approx([c["score"] for c in theirs], rel=1e-4)


def test_offsets_and_sequences_are_of_the_text_as_given(roberta: TextObjective) -> None:
    text = "Naïve 🦊\n[MASK] and  <mask>!"
    result = fill(roberta, text, top_k=1000)
    assert [text[mask.start : mask.end] for mask in result.masks] == ["[MASK]", "<mask>"]
    first, second = (
        {c.token_str: c.sequence for c in mask.candidates if c.token_str in (" the", "he")} for mask in result.masks
    )
    assert first == {" the": "Naïve 🦊\nthe and  <mask>!", "he": "Naïve 🦊he and  <mask>!"}
    assert second == {" the": "Naïve 🦊\n<mask> and  the!", "he": "Naïve 🦊\n<mask> andhe!"}


@pytest.mark.parametrize(
    ("architecture", "text", "piece", "sequence"),
    [
        ("bert", "PARIS is  [MASK].", "france", "PARIS is  france."),
        ("bert", "PARIS is  [MASK].", "##s", "PARIS iss."),
        ("bert", "a[MASK]b", "the", "atheb"),
        ("bert", "One [MASK].", "[SEP]", "One ."),
        ("roberta", "One <mask>.", "Ġthe", "One the."),
        ("roberta", "One<mask>.", "Ġthe", "One the."),
        ("roberta", "One <mask>.", "he", "Onehe."),
        ("roberta", "<mask> one", "Ġthe", "the one"),
        ("xlm-roberta", "One [MASK].", "▁the", "One the."),
        ("albert", "One [MASK].", "s", "Ones."),
        ("deberta-v2", "One [MASK].", "▁is", "One is."),
    ],
)
def test_sequence_keeps_the_users_text(
    objectives: Any, architecture: str, text: str, piece: str, sequence: str
) -> None:
    objective = objectives(architecture)
    token = objective.tokenizer.get_vocab()[piece]
    ((start, end),) = objective.encoder.mask_spans(text)
    assert WordPieces(objective.encoder).filled(text[:start], text[end:], token) == sequence


def test_targets_are_ranked_and_counted_once(bert: TextObjective) -> None:
    everything = {c.token: c.score for c in fill(bert, PARIS, top_k=10_000).masks[0].candidates}
    (mask,) = fill(bert, PARIS, targets=("paris", "Lions", "the", "lions", "##s")).masks
    vocabulary = bert.tokenizer.get_vocab()
    assert {c.token for c in mask.candidates} == {vocabulary[t] for t in ("paris", "lions", "the", "##s")}
    assert [c.score for c in mask.candidates] == sorted((c.score for c in mask.candidates), reverse=True)
    assert all(c.score == pytest.approx(everything[c.token], rel=1e-5) for c in mask.candidates)
    assert len(fill(bert, PARIS, targets=("paris", "lions", "the"), top_k=2).masks[0].candidates) == 2


def test_renormalized_scores_sum_to_one_over_the_targets(bert: TextObjective) -> None:
    text, targets = "The [MASK] chase the [MASK].", ("paris", "lions", "the")
    plain = fill(bert, text, targets=targets, num_sequences=2)
    rescaled = fill(bert, text, targets=targets, num_sequences=2, renormalize=True)
    for before, after in zip(plain.masks, rescaled.masks, strict=True):
        total = sum(c.score for c in before.candidates)
        assert [c.token for c in after.candidates] == [c.token for c in before.candidates]
        assert [c.score for c in after.candidates] == pytest.approx([c.score / total for c in before.candidates])
    assert rescaled.sequences == plain.sequences
    (best,) = fill(bert, text, targets=targets, renormalize=True, top_k=1).masks[0].candidates
    assert best == rescaled.masks[0].candidates[0]


def test_without_targets_nothing_can_be_renormalized() -> None:
    with pytest.raises(InvalidValue, match="targets") as error:
        FillMaskItem(PARIS, renormalize=True)
    assert error.value.param == "renormalize"


def test_a_target_is_the_word_at_the_mask_in_byte_level_vocabularies(roberta: TextObjective) -> None:
    (mask,) = fill(roberta, PARIS, targets=("the", " the", "Ġthe")).masks
    assert [c.token_str for c in mask.candidates] == [" the"]


def test_targets_of_a_request_are_looked_up_once(bert: TextObjective, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    find = WordPieces.spell
    monkeypatch.setattr(
        WordPieces, "spell", lambda self, target, most: asked.append(target) or find(self, target, most)
    )
    handler = bert.tasks[Task.FILL_MASK]
    rows = [handler.prepare(FillMaskItem(PARIS, targets=("zebras", "the"))) for _ in range(3)]
    assert len({row.inputs.targets for row in rows}) == 1
    assert handler.prepare(FillMaskItem(PARIS, targets=("the",))).inputs.targets == rows[0].inputs.targets[1:]
    assert asked == ["zebras", "the", "the"]


def test_long_targets_are_not_quick_nor_shown_in_full(bert: TextObjective) -> None:
    handler = bert.tasks[Task.FILL_MASK]
    assert handler.is_quick(FillMaskItem(PARIS, targets=("the",)))
    assert not handler.is_quick(FillMaskItem(PARIS, targets=("the" * 1000,)))
    for target in ("the " * 1000, "漢" * 1000):
        with pytest.raises(InvalidValue) as caught:
            handler.prepare(FillMaskItem(PARIS, targets=(target,)))
        assert len(caught.value.message) < 400


def test_targets_and_whole_vocabulary_share_a_batch(bert: TextObjective) -> None:
    items = [FillMaskItem(PARIS, targets=("the", "lions")), FillMaskItem("[MASK] [MASK]", top_k=2), FillMaskItem(PARIS)]
    batched = perform(bert.tasks[Task.FILL_MASK], items)
    assert [[len(m.candidates) for m in r.masks] for r in batched] == [[2], [2, 2], [5]]
    for item, result in zip(items, batched, strict=True):
        alone = perform(bert.tasks[Task.FILL_MASK], [item])[0]
        assert [[c.token for c in m.candidates] for m in result.masks] == [
            [c.token for c in m.candidates] for m in alone.masks
        ]


def test_top_k_beyond_the_vocabulary_is_the_vocabulary(bert: TextObjective) -> None:
    (mask,) = fill(bert, PARIS, top_k=10_000).masks
    assert len(mask.candidates) == bert.model.config.vocab_size
    assert sum(c.score for c in mask.candidates) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("text", "options", "error", "message"),
    [
        ("", {}, EmptyInput, "empty"),
        (" \n", {}, EmptyInput, "empty"),
        ("No mask here, not even <mask>.", {}, NoMask, r"\[MASK\]"),
        ("[MASK] [MASK] [MASK]", {"max_masks": 2}, TooManyMasks, "3 masks and at most 2"),
        (PARIS, {"top_k": 0}, InvalidValue, "top_k"),
        (
            PARIS,
            {"targets": ("lionsparis",), "single_tokens": True},
            InvalidValue,
            "'lionsparis' is .* tokens .*'lions'.* must be one",
        ),
        (PARIS, {"targets": ("the paris 漢",)}, InvalidValue, "'the paris 漢' is not in"),
        (PARIS, {"targets": ("漢",)}, InvalidValue, "'漢' is not in"),
        (PARIS, {"targets": (" ",)}, EmptyInput, "target"),
        ("\ud800 [MASK]", {}, InvalidValue, "Unicode"),
    ],
)
def test_mistakes_are_named(
    bert: TextObjective, text: str, options: dict[str, Any], error: type[AppError], message: str
) -> None:
    with pytest.raises(error, match=message):
        bert.tasks[Task.FILL_MASK].prepare(FillMaskItem(text, **options))


def test_too_long_without_truncation_names_both_lengths(bert: TextObjective) -> None:
    with pytest.raises(InputTooLong, match=rf"103 tokens .* at most {MAX_LENGTH}") as caught:
        fill(bert, "the " * 100 + "[MASK]")
    assert caught.value.param == "input"


@pytest.mark.parametrize("side", TruncationSide)
@pytest.mark.parametrize("before", [0, 40, 100, 200])
def test_truncation_keeps_the_masks(bert: TextObjective, before: int, side: TruncationSide) -> None:
    text = "the " * before + "[MASK] is [MASK]" + " of" * (200 - before)
    prepared = bert.tasks[Task.FILL_MASK].prepare(FillMaskItem(text, truncate=True, truncation_side=side))
    ids, positions = prepared.inputs.ids, prepared.inputs.positions
    assert len(ids) == MAX_LENGTH
    assert [ids[p] for p in positions] == [bert.tokenizer.mask_token_id] * 2
    assert (ids[0], ids[-1]) == (bert.tokenizer.cls_token_id, bert.tokenizer.sep_token_id)
    if before == 100:  # neither end reaches them: they get context on both sides
        assert 20 < positions[0] < 40


def test_truncation_at_an_end_is_the_plain_one_where_it_keeps_the_mask(bert: TextObjective) -> None:
    text = "a [MASK] " + "the " * 100
    prepared = bert.tasks[Task.FILL_MASK].prepare(FillMaskItem(text, truncate=True))
    # Cut by hand: truncation once asked of a tokenizer stays set, and this one is served.
    expected = [*bert.tokenizer(text)["input_ids"][: MAX_LENGTH - 1], bert.tokenizer.sep_token_id]
    assert prepared.inputs.ids == expected


@pytest.mark.parametrize(("before", "after", "position"), [(200, 200, 31), (5, 200, 6), (200, 5, 57), (40, 100, 31)])
def test_a_text_is_cut_around_its_mask(bert: TextObjective, before: int, after: int, position: int) -> None:
    item = FillMaskItem("the " * before + "[MASK]" + " of" * after, truncate=True, truncation_side=None)
    prepared = bert.tasks[Task.FILL_MASK].prepare(item)
    assert (prepared.inputs.positions, len(prepared.inputs.ids)) == ([position], MAX_LENGTH)


def test_a_text_is_cut_around_the_middle_of_its_masks(bert: TextObjective) -> None:
    text = "the " * 200 + "[MASK]" + " of" * 20 + " [MASK]" + " a" * 200
    prepared = bert.tasks[Task.FILL_MASK].prepare(FillMaskItem(text, truncate=True, truncation_side=None))
    assert prepared.inputs.positions == [21, 42]  # 20 tokens on both sides


def test_masks_further_apart_than_the_model_reads(bert: TextObjective) -> None:
    with pytest.raises(InputTooLong, match="lose a mask"):
        fill(bert, "[MASK]" + " the" * 100 + " [MASK]", truncate=True)
    with pytest.raises(InputTooLong, match="its masks span 102 of them"):
        fill(bert, "[MASK]" + " the" * 100 + " [MASK]", truncate=True, truncation_side=None)


def test_a_model_that_computes_nan_is_an_error(folders: Any) -> None:
    broken = load_text(folders("bert"))
    with torch.no_grad():
        broken.model.get_output_embeddings().bias[7] = torch.nan
    for options in ({}, {"targets": ("the",)}):
        with pytest.raises(AppError, match="not finite") as caught:
            fill(broken, PARIS, **options)
        assert caught.value.status == 500


def test_vocabularies_of_model_and_tokenizer_may_differ_in_size(folders: Any) -> None:
    padded, cut = load_text(folders("bert")), load_text(folders("bert"))
    size = len(padded.tokenizer)
    padded.model.resize_token_embeddings(size + 9)
    padded = TextObjective(padded.model, padded.tokenizer, has_head=True)
    candidates = fill(padded, PARIS, top_k=10_000).masks[0].candidates
    assert {c.token for c in candidates} == set(range(size))  # the other rows stand for nothing
    cut.model.resize_token_embeddings(size - 9)
    cut = TextObjective(cut.model, cut.tokenizer, has_head=True)
    last = cut.tokenizer.convert_ids_to_tokens(size - 1)
    with pytest.raises(InvalidValue, match="outside the model"):
        fill(cut, PARIS, targets=(last,))


def test_numbers_that_are_not_finite_are_an_error_of_their_item_only(bert: TextObjective) -> None:
    handler = bert.tasks[Task.FILL_MASK]
    good, bad = handler.prepare(FillMaskItem(PARIS)), handler.prepare(FillMaskItem("[MASK]"))
    scores, tokens = handler.run(handler.collate([good.inputs, bad.inputs]))[0]
    assert handler.finish(good, (scores, tokens)).masks
    with pytest.raises(AppError, match="not finite"):
        handler.finish(bad, (np.full_like(scores, np.nan), tokens))


def test_a_mask_costs_its_share_of_the_logits(bert: TextObjective) -> None:
    assert bert.tasks[Task.FILL_MASK].prepare(FillMaskItem(PARIS)).cost == count_cost(9, 1, 1000) == 9
    assert count_cost(9, 1, 250_000) == 122


def test_preparing_on_many_threads_is_stateless(bert: TextObjective) -> None:
    handler = bert.tasks[Task.FILL_MASK]
    items = [
        FillMaskItem(f"{'the ' * (i % 90)}[MASK]", truncate=True, truncation_side=list(TruncationSide)[i % 2])
        for i in range(400)
    ]
    expected = [handler.prepare(item).inputs for item in items]
    with ThreadPoolExecutor(8) as threads:
        assert [p.inputs for p in threads.map(handler.prepare, items)] == expected


def test_training_mode_and_gradients_are_off(bert: TextObjective) -> None:
    assert not bert.model.training
    fill(bert, PARIS)
    assert not torch.is_inference_mode_enabled()
    assert not bert.model.base_model._forward_hooks
