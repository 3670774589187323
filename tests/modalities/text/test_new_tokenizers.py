"""Kinds of new tokenizers: what they keep, how they split, and that transformers reads them."""

import random
import time
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError
from transformers import AutoTokenizer, BertConfig, PreTrainedTokenizerBase

from app.errors import InvalidValue
from app.methods import MlmHyperparameters
from app.methods.patterns import bound_pattern
from app.methods.tokenizers import OPTION_KINDS, TokenizerKind, TokenizerOptions
from app.modalities.text.new_tokenizers.kinds import KINDS, train_tokenizer
from app.training.data.encoding import make_encoder
from tests.training.data.test_encoding import U16, check

GERMAN = ["Der schöne Bär schläft schon.", "Die Grüße kommen aus Köln."] * 20
JAPANESE = ["がんの治療は難しい。", "かんの研究を続けています。", "東京は日本の首都です。"] * 20
SMILES = ["c1ccccc1", "C1CCCCC1", "CC(=O)Oc1ccccc1C(=O)O", "BrCCCl", "[nH]1cccc1"] * 20
DNA = ["".join(random.Random(n).choices("ACGT", k=120)) for n in range(30)]
CODE = ["def f(x):\n    return x + 1\n\n\nclass A:\n\tpass  # hi\n"] * 20
SAMPLES = {"german": GERMAN, "japanese": JAPANESE, "smiles": SMILES, "dna": DNA, "code": CODE}


def train(kind: str, texts: list[str], **options: Any) -> PreTrainedTokenizerBase:
    return train_tokenizer(texts, TokenizerOptions(tokenizer=kind, **{"vocab_size": 600, **options}), 64)


def ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return found


def tokens(tokenizer: PreTrainedTokenizerBase, text: str) -> list[str]:
    return tokenizer.tokenize(text)


def test_every_kind_has_a_descriptor_and_every_option_a_field() -> None:
    assert tuple(KINDS) == get_args(TokenizerKind)
    assert OPTION_KINDS.keys() < TokenizerOptions.model_fields.keys()


@pytest.mark.parametrize("data", ["german", "japanese", "smiles", "code"])
@pytest.mark.parametrize("kind", ["bpe", "unigram", "characters", "regex", "bytes"])
def test_decoding_restores_the_text(kind: str, data: str) -> None:
    tokenizer = train(kind, SAMPLES[data])
    for text in SAMPLES[data]:
        assert tokenizer.decode(ids(tokenizer, text)) == text


@pytest.mark.parametrize(("length", "stride"), [(3, 1), (6, 1), (2, 1), (3, 3)])
def test_kmers_restore_the_text(length: int, stride: int) -> None:
    tokenizer = train("kmer", DNA, kmer_length=length, kmer_stride=stride, vocab_size=10_000)
    for text in DNA:
        found = ids(tokenizer, text)
        assert tokenizer.decode(found) == text
        assert len(found) == (len(text) if stride == 1 else len(text) // length)


def test_overlapping_kmers_are_the_letters_behind_each_letter() -> None:
    tokenizer = train("kmer", DNA, kmer_length=3)
    encoded = tokenizer("ACGTN acg-T", add_special_tokens=False, return_offsets_mapping=True)
    found = [t for t in tokenizer.convert_ids_to_tokens(encoded["input_ids"]) if t != "[UNK]"]
    assert found == ["Acg", "Cgt", "Gt", "T", "Acg", "Cg", "G", "T"]
    assert encoded["offset_mapping"][:4] == [(0, 1), (1, 2), (2, 3), (3, 4)]


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram", "characters", "regex", "bytes"])
@pytest.mark.parametrize(
    ("texts", "first", "second"),
    [(SMILES, "c1ccccc1", "C1CCCCC1"), (GERMAN, "schön", "schon"), (JAPANESE, "がん", "かん")],
)
def test_different_texts_have_different_tokens(kind: str, texts: list[str], first: str, second: str) -> None:
    tokenizer = train(kind, texts)
    assert ids(tokenizer, first) != ids(tokenizer, second)
    assert tokenizer.unk_token_id not in ids(tokenizer, first) + ids(tokenizer, second)


@pytest.mark.parametrize("kind", OPTION_KINDS["lowercase"])
def test_case_and_accents_are_dropped_on_demand(kind: str) -> None:
    tokenizer = train(kind, GERMAN, lowercase=True, strip_accents=True)
    assert ids(tokenizer, "SCHÖN") == ids(tokenizer, "schon")
    lowered = train(kind, GERMAN, lowercase=True)
    assert ids(lowered, "SCHÖN") == ids(lowered, "schön") != ids(lowered, "schon")


@pytest.mark.parametrize("kind", ["wordpiece", "unigram", "characters", "regex"])
def test_both_unicode_forms_have_the_same_tokens(kind: str) -> None:
    tokenizer = train(kind, GERMAN)
    assert ids(tokenizer, "scho\u0308n") == ids(tokenizer, "schön")


def test_smiles_are_split_into_atoms() -> None:
    tokenizer = train("regex", SMILES)
    assert tokens(tokenizer, "BrC[nH]1") == ["Br", "C", "[nH]", "1"]
    own = train("regex", CODE, tokenizer_pattern="[a-z]+")
    assert tokens(own, "class f:") == ["class", " ", "f", ":"]
    assert tokens(train("regex", CODE, tokenizer_pattern="code"), "f(x)\n    return") == [
        *("f", "(", "x", ")", "\n    ", "return"),
    ]


def test_a_vocabulary_may_be_as_small_as_the_alphabet() -> None:
    tokenizer = train("characters", ["ACGT" * 9], vocab_size=5)
    assert len(tokenizer) == 9
    assert tokens(tokenizer, "ACGTN") == ["A", "C", "G", "T", "[UNK]"]
    with pytest.raises(ValidationError):
        TokenizerOptions(vocab_size=4)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "unigram"])
@pytest.mark.parametrize("data", ["german", "dna"])
def test_the_same_text_gives_the_same_tokenizer(kind: str, data: str) -> None:
    first, second = (train(kind, SAMPLES[data]) for _ in range(2))
    assert first.backend_tokenizer.to_str() == second.backend_tokenizer.to_str()


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_reads_a_folder_without_code(kind: str, tmp_path: Path) -> None:
    texts = DNA if kind == "kmer" else GERMAN
    tokenizer = train(kind, texts)
    tokenizer.save_pretrained(tmp_path)
    BertConfig().save_pretrained(tmp_path)
    read = AutoTokenizer.from_pretrained(tmp_path)
    for text in texts[:3]:
        assert read(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert (read.mask_token, read.pad_token_id) == (tokenizer.mask_token, tokenizer.pad_token_id)


@pytest.mark.parametrize("kind", KINDS)
def test_shards_have_the_tokens_of_the_tokenizer(kind: str) -> None:
    texts = DNA if kind == "kmer" else [*GERMAN, *JAPANESE, "a<\u0338 b=c\u0338", "x  y\n z"]
    tokenizer = train(kind, texts).backend_tokenizer
    check(tokenizer, texts, make_encoder(tokenizer, U16))


@pytest.mark.parametrize(
    "pattern",
    [
        *("(a+)+b", "(a|a)*", "(?=a)b", r"(a)\1", "[a", "a)", "(a", "", "x*?y*+", "a{600}", "[[:alpha:]]", "*a", r"\b"),
        *("a*b*c*d", "(" * 22 + "a" + ")" * 22, "[a-z&&b]", "a{3,1}", "(?i)a"),
    ],
)
def test_patterns_that_may_take_long_are_refused(pattern: str) -> None:
    with pytest.raises(InvalidValue, match="pattern"):
        bound_pattern(pattern)


@pytest.mark.parametrize("pattern", ["[z-a]", "[]", "[^]", r"[a-\d]", r"\p{Foo}"])
def test_patterns_that_the_library_cannot_read_are_refused(pattern: str) -> None:
    with pytest.raises(InvalidValue, match="is not a regular expression") as refused:
        train("regex", SMILES, tokenizer_pattern=pattern)
    assert refused.value.param == "tokenizer_pattern"


def test_repetitions_get_an_upper_bound() -> None:
    assert bound_pattern(r"\[[^\]]+]|Br?|\d*?(?:ab){2,}") == r"\[[^\]]{1,32}]|Br{0,1}|\d{0,32}?(?:ab){2,32}"


def test_a_pattern_takes_linear_time() -> None:
    tokenizer = train("regex", ["a" * 50], tokenizer_pattern=r"\w+\w+!")
    used = []
    for count in (2_000, 20_000):
        started = time.process_time()
        ids(tokenizer, "a" * count)
        used.append(time.process_time() - started)
    assert used[1] < 100 * used[0]  # quadratic time would be a hundred times as much, and this is ten


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"tokenizer": "bpe", "lowercase": True}, "lowercase"),
        ({"strip_accents": True}, "strip_accents"),
        ({"tokenizer": "bpe", "tokenizer_pattern": "a"}, "tokenizer_pattern"),
        ({"tokenizer": "regex", "tokenizer_pattern": "(a+)+"}, "tokenizer_pattern"),
        ({"tokenizer": "kmer", "kmer_stride": 2}, "kmer_stride"),
        ({"tokenizer": "base"}, "tokenizer_model"),
    ],
)
def test_options_of_other_kinds_are_refused(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        MlmHyperparameters(**values).check_for({"model_type": "bert"})
    assert caught.value.param == field
