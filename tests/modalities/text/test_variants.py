"""Variants of sequences, beside a plain loop over transformers' own forward: one position at a time."""

import re
from typing import Any

import pytest
import torch
from transformers import AutoModelForMaskedLM, EsmConfig

from app.errors import AppError, EmptyInput, InputTooLong, InvalidValue
from app.methods.tokenizers import TokenizerOptions
from app.modalities.text.new_tokenizers.kinds import train_tokenizer
from app.modalities.text.objective import TextObjective
from app.modalities.text.scoring.items import VariantMethod, VariantsItem
from app.types import Task
from tests.fakes.perform import perform, rows_of

PROTEIN = "HPETLVKVKDAEDQLG"
AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"


def build(corpus: list[str], size: int = 64, **options: Any) -> TextObjective:
    tokenizer = train_tokenizer(corpus, TokenizerOptions(**options), size)
    config = EsmConfig(
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        mask_token_id=tokenizer.mask_token_id,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=64,
        position_embedding_type="rotary",
        token_dropout=True,
        initializer_range=0.3,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return TextObjective(AutoModelForMaskedLM.from_config(config), tokenizer, has_head=True)


@pytest.fixture(scope="module")
def esm() -> TextObjective:
    return build([AMINO_ACIDS + "X😀"], tokenizer="characters")


def ask(objective: TextObjective, *variants: str, text: str = PROTEIN, **options: Any) -> dict[str, float]:
    item = VariantsItem(text, variants or None, **options)
    (result,) = perform(objective.tasks[Task.SCORE], [item])
    return {each.variant: each.score for each in result.variants}


def log_probs(objective: TextObjective, text: str, masked: int | None, place: int) -> torch.Tensor:
    """Log-probabilities [V] at a place of a text, with the token at `masked` masked."""
    ids = objective.tokenizer(text, return_tensors="pt")["input_ids"]
    if masked is not None:
        ids[0, 1 + masked] = objective.tokenizer.mask_token_id
    with torch.no_grad():
        logits = objective.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    return logits[0, 1 + place].log_softmax(-1)


def reference(objective: TextObjective, variant: str, offset: int, method: VariantMethod) -> float:
    total = 0.0
    for part in variant.split(":"):
        place = int(part[1:-1]) - offset
        found = log_probs(objective, PROTEIN, place if method is VariantMethod.MASKED_MARGINALS else None, place)
        old, new = objective.tokenizer.convert_tokens_to_ids([part[0], part[-1]])
        total += float(found[new] - found[old])
    return total


@pytest.mark.parametrize("method", VariantMethod)
def test_variants_are_the_plain_loop(esm: TextObjective, method: VariantMethod) -> None:
    variants = ["H24C", "P25A:E26W:G39Y", "E26W", "H24C", "H24H"]
    found = ask(esm, *variants, offset=24, method=method)
    expected = {variant: reference(esm, variant, 24, method) for variant in variants}
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert found["H24H"] == 0


def test_every_position_and_letter(esm: TextObjective) -> None:
    found = ask(esm, letters="ACW")
    assert list(found)[:4] == ["H1A", "H1C", "H1W", "P2A"]
    assert len(found) == sum(letter != old for old in PROTEIN for letter in "ACW")
    assert found["Q14W"] == pytest.approx(reference(esm, "Q14W", 1, VariantMethod.MASKED_MARGINALS), rel=1e-4)
    assert ask(esm, text="AA", letters="A") == {}
    letters = {each[-1] for each in ask(esm)}
    assert letters == {*AMINO_ACIDS, "X"}  # an emoji is no letter


def test_each_position_is_computed_once(esm: TextObjective) -> None:
    variants = tuple(f"{PROTEIN[place]}{place + 1}{letter}" for place in (0, 3, 5) for letter in AMINO_ACIDS) * 100
    handler = esm.tasks[Task.SCORE]
    rows = rows_of(handler, VariantsItem(PROTEIN, variants))
    assert [row.inputs.masked for row in rows] == [[1], [4], [6]]
    (row,) = rows_of(handler, VariantsItem(PROTEIN, variants, method=VariantMethod.WILD_TYPE_MARGINALS))
    assert (row.inputs.masked, row.inputs.places) == ([], [1, 4, 6])


def test_rows_of_variants_and_of_texts_share_a_batch(esm: TextObjective) -> None:
    handler = esm.tasks[Task.SCORE]
    items = [VariantsItem(PROTEIN, ("H1C", "P2A")), handler.example(), VariantsItem("ACD", ("A1C",))]
    together, alone = perform(handler, items), [perform(handler, [item])[0] for item in items]
    for at in (0, 2):
        scores = [each.score for each in alone[at].variants]
        assert [each.score for each in together[at].variants] == pytest.approx(scores, rel=1e-4, abs=1e-6)
    assert together[1].log_likelihood == pytest.approx(alone[1].log_likelihood, rel=1e-4)


def test_letters_of_several_units_and_with_spaces_are_counted_as_letters(esm: TextObjective) -> None:
    assert list(ask(esm, "A2C", text="😀AC")) == ["A2C"]
    words = build(["M K T A Y I A K Q R"] * 3, tokenizer="wordpiece")
    found = ask(words, "K2A:T3M", text="M K T A Y")
    item = VariantsItem("M K T A Y", ("K2A",))
    (row,) = rows_of(words.tasks[Task.SCORE], item)
    assert row.inputs.masked == [2] and found.keys() == {"K2A:T3M"}


@pytest.mark.parametrize(
    ("variant", "reason"),
    [
        ("P24C", "the input has H at position 24, not P"),
        ("H23C", "the input has the positions 24 to 39, not 23"),
        ("G40C", "the input has the positions 24 to 39, not 40"),
        ("H99999999999C", "not written as"),
        ("H24", "not written as"),
        ("H24CC", "not written as"),
        ("h24C", "the input has H at position 24, not h"),
        ("H24C:", "not written as"),
        ("H24C P25A", "not written as"),
        ("H24C:H24A", "a position is named twice"),
        ("H24J", "the model has no token for J in this input"),
        ("H24é", "the model has no token for é in this input"),
    ],
)
def test_a_variant_at_fault_is_named(esm: TextObjective, variant: str, reason: str) -> None:
    with pytest.raises(InvalidValue, match=re.escape(f"`variants` 2 ({variant!r}): ") + f".*{re.escape(reason)}") as e:
        ask(esm, "H24C", "P25A", variant, offset=24)
    assert e.value.param == "variants"


def test_what_the_model_cannot_read_is_refused(esm: TextObjective, bert: TextObjective) -> None:
    for text, variants, error, param in [
        (PROTEIN * 5, ("H1C",), InputTooLong, "input"),
        (" ", ("H1C",), EmptyInput, "input"),
        ("HP[MASK]T", ("H1C",), InvalidValue, "input"),
        ("HJT", ("J2C",), InvalidValue, "variants"),
        ("HJT", (), InvalidValue, "input"),
    ]:
        with pytest.raises(error) as caught:
            ask(esm, *variants, text=text)
        assert caught.value.param == param, text
    with pytest.raises(InvalidValue, match="no token for J") as caught:
        ask(esm, letters="ACJ")
    assert caught.value.param == "letters"
    with pytest.raises(InvalidValue, match="reads each letter as one token"):
        ask(bert, "L1C", text="Lions")
    with pytest.raises(InvalidValue, match="has letters as tokens"):  # each letter is a piece of a word
        ask(bert, text="hpetlv")


@pytest.mark.parametrize("options", [{"tokenizer": "kmer", "kmer_length": 3}, {"tokenizer": "regex"}])
def test_tokens_of_several_letters_are_refused(options: dict[str, Any]) -> None:
    text = "CCBrCOC"
    objective = build([text, text[::-1]] * 3, **options)
    with pytest.raises(InvalidValue, match="reads each letter as one token"):
        ask(objective, "C1O", text=text)


def test_letters_that_join_their_neighbours_are_refused() -> None:
    """In Or an O is a token, but a B in its place would become the one token Br."""
    objective = build(["CCBrOrC"] * 3, tokenizer="regex", tokenizer_pattern="Br|[A-Za-z]")
    assert ask(objective, "O1C", text="Or").keys() == {"O1C"}
    with pytest.raises(InvalidValue, match="no token for B"):
        ask(objective, "O1B", text="Or")


def test_a_model_that_computes_nan_is_an_error() -> None:
    broken = build([AMINO_ACIDS], tokenizer="characters")
    with torch.no_grad():
        broken.model.lm_head.bias[7] = torch.nan
    with pytest.raises(AppError, match="not finite"):
        ask(broken, "H1C")


@pytest.mark.parametrize("method", VariantMethod)
def test_variants_of_a_sequence_that_is_too_long_are_those_of_their_windows(
    esm: TextObjective, method: VariantMethod
) -> None:
    text = (PROTEIN * 8)[:100]  # windows of 62 letters, with 12 in common: 0 to 62, 38 to 100
    variants = {place: f"{text[place - 1]}{place}W" for place in (1, 38, 50, 51, 99, 100)}
    with pytest.raises(InputTooLong, match="set `overflow` to windows"):
        ask(esm, *variants.values(), text=text, method=method)
    found = ask(esm, *variants.values(), text=text, method=method, windows=True, stride=12)
    for place, variant in variants.items():
        start, end = (0, 62) if place <= 50 else (38, 100)
        moved = f"{variant[0]}{place - start}W"
        (expected,) = ask(esm, moved, text=text[start:end], method=method).values()
        assert found[variant] == pytest.approx(expected, abs=1e-4)
    assert list(found) == list(variants.values())
    short = {"method": method, "text": PROTEIN, "offset": 24}
    assert ask(esm, "H24C", windows=True, **short) == ask(esm, "H24C", **short)


def test_variants_in_windows_are_bounded(esm: TextObjective) -> None:
    too_long, too_many = ("A" * 10**6, ("A1C",), "a sequence in 64"), ("A" * 20_000, None, "takes 20000 rows")
    for text, variants, message in (too_long, too_many):
        with pytest.raises(AppError, match=message):
            esm.tasks[Task.SCORE].steps(VariantsItem(text, variants, letters="C", windows=True))
