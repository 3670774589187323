"""The choice of a tokenizer for samples of several fields, and what a tokenizer loses of a text."""

import random
from typing import Any

import pytest

from app.methods.tokenizers import TokenizerOptions
from app.modalities.text.new_tokenizers.choice import choose_tokenizer
from app.modalities.text.new_tokenizers.round_trip import report_losses, try_tokenizer
from tests.modalities.text.test_new_tokenizers import CODE, DNA, GERMAN, JAPANESE, SMILES, train

PROTEINS = ["M" + "".join(random.Random(n).choices("ACDEFGHIKLMNPQRSTVWY", k=200)) for n in range(20)]
ENGLISH = ["The cat sat on the mat, and the dog looked at it.", "It is a nice day today; we went to the sea."] * 10
THAI = ["ภาษาไทยเป็นภาษาที่มีระดับเสียงของคำแน่นอนหรือวรรณยุกต์เช่นเดียวกับภาษาจีน และออกเสียงแยกคำต่อคำ"] * 10
CHINESE = ["".join(chr(0x4E00 + (31 * n + k) % 900) for k in range(80)) + "。" for n in range(20)]
LOGS = [f"2026-11-30T12:0{n}:17.{n}42Z INFO [worker-{n}] GET /v1/models/{n * 731} 200 in {n}.3 ms" for n in range(10)]
JAVA = ["for (int i = 0; i < n; i++) {\n    sum += a[i] * b[i];\n}\n"] * 10
CASES = {
    "characters": (PROTEINS, DNA, [text.lower() for text in DNA], ["0110100111010110101001011010101"] * 9),
    "regex": (SMILES, ["\n".join(SMILES)]),
    "wordpiece": (ENGLISH, GERMAN, ["Москва — столица России, большой город."] * 9),
    "unigram": (JAPANESE, THAI, CHINESE),
    "bpe": (CODE, LOGS, JAVA),
}


@pytest.mark.parametrize(("kind", "texts"), [(kind, texts) for kind, all_ in CASES.items() for texts in all_])
def test_the_kind_fits_the_data(kind: str, texts: list[str]) -> None:
    choice = choose_tokenizer(texts, TokenizerOptions())
    assert choice.kind == kind
    assert choice.reason


def test_a_small_vocabulary_is_one_of_characters() -> None:
    assert choose_tokenizer(ENGLISH, TokenizerOptions(vocab_size=100)).kind == "characters"


@pytest.mark.parametrize(
    ("kind", "unit"),
    [
        *(("characters", "token"), ("regex", "token"), ("kmer", "token"), ("bytes", "token")),
        *(("wordpiece", "word"), ("bpe", "word"), ("unigram", "word")),
    ],
)
def test_a_mask_replaces_a_token_where_tokens_do_not_depend_on_each_other(kind: Any, unit: str) -> None:
    texts = ["ACGTTGCA", "TTGACGTA"] * 9
    tokenizer, report = try_tokenizer(TokenizerOptions(tokenizer=kind, kmer_length=2, kmer_stride=2), texts)
    assert report.unit == unit
    if unit == "token":
        tokens = tokenizer.encode("ACGTTGCA", add_special_tokens=False)
        start, end = tokens.offsets[1]
        hidden = tokenizer.encode("ACGTTGCA"[:start] + "[MASK]" + "ACGTTGCA"[end:], add_special_tokens=False)
        assert hidden.tokens == [tokens.tokens[0], "[MASK]", *tokens.tokens[2:]]


@pytest.mark.parametrize("texts", [each for all_ in CASES.values() for each in all_])
def test_what_is_chosen_loses_nothing_but_white_space(texts: list[str]) -> None:
    report = try_tokenizer(TokenizerOptions(), texts)[1]
    assert (report.unknown_share, report.lost) == (0.0, ())
    assert report.lossless or set(report.changes) == {"white space"}


@pytest.mark.parametrize(
    ("kind", "options", "text", "changes", "lost"),
    [
        ("wordpiece", {}, "Der  schöne Bär.", ("white space",), ()),
        ("wordpiece", {}, "Der [MASK] Bär.", ("white space",), ()),
        ("wordpiece", {"lowercase": True}, "Der schöne Bär", ("case",), ()),
        ("characters", {"strip_accents": True}, "schön", ("characters",), ("ö",)),
        ("characters", {}, "Bär €", ("characters",), ("€",)),
        ("characters", {}, "scho\u0308n", ("Unicode form",), ()),
        ("bpe", {}, "Bär € \n", (), ()),
    ],
)
def test_losses_are_named(
    kind: str, options: dict[str, Any], text: str, changes: tuple[str, ...], lost: tuple[str, ...]
) -> None:
    report = report_losses(train(kind, GERMAN, **options).backend_tokenizer, [text], kind, "")
    assert (report.changes, report.lost, report.lossless) == (changes, lost, not changes)
    assert ("€" in report.describe()) == bool("€" in lost)
