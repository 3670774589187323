"""Encoding by parts: what it gives is what the tokenizer gives, whatever the text."""

import random
import unicodedata
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers
from tokenizers.models import WordPiece

import app.training.data.encoding as module
from app.methods.tokenizers import TokenizerOptions
from app.modalities.text.new_tokenizers.kinds import train_tokenizer
from app.training.data import token_cache as parts
from app.training.data.chunking import find_chunking
from app.training.data.encoding import PartEncoder, WholeEncoder, exact_hash, make_encoder, text_hash
from tests.fakes.tiny_models import CORPUS, tiny_tokenizer

U16 = np.dtype(np.uint16)
FAMILIES = ["bert", "mpnet", "roberta", "xlm-roberta", "albert", "modernbert", "deberta-v2"]

SPACES = [chr(c) for c in range(0x110000) if chr(c).isspace()]
NASTY = [
    *SPACES, "  ", " \n", "\n ", "\n\n", " \t ", "\u00a0 ", " \u3000", "\r\n", *map(chr, range(32)), "\x7f", "\x85",
    "\u200b", "\u200c", "\u200d", "\ufeff", "\u2060", "\u00ad", "\u180e", "\ufffd", "\u0600", "\U000110bd",
    "\u0301", "\u0327", "\u0338", "=\u0338", "<\u0338", " \u0301", "e\u0301", "\u0327\u0338", "`\u0301", "\u00b4",
    "É", "ﬁ", "ß", "İ", "Σ", "ΟΔΟΣ", "ς", "ŉ", "Å", "\u212a", "\u037e", "\u1fef", "ǅ", "각", "ᄀ", "ᅡ", "ᆨ",
    "中", "文字", "日本語", "한국어", "प्र", "ไทย", "العربية", "Привет", "😀", "👩\u200d👩\u200d👧", "🇫🇷", "\U0010ffff",
    "'", "''", "'s", "'S", "'ll", "n't", "'1", "``", "▁", "▁▁", "Ġ", "##", "_", "-", "—", "...", "!?", "(", ")", "$1",
    "[MASK]", "[mask]", "<mask>", " <mask>", "[PAD]", "<pad>", "<PAD>", "<s>", "<S>", "[UNK]", "[", "]", "<", ">",
    "[MA", "SK]", "𝔘", "a", "The", "LION", "zebras", "1990", "12", "x" * 120, "Ab9", "café", "naïve", "Zürich",
]  # fmt: skip


def texts(seed: int, count: int) -> list[str]:
    """Of anything that is hard for a tokenizer, next to each other and between words."""
    rng = random.Random(seed)
    words = [word for line in CORPUS for word in line.split()]
    made = []
    for _ in range(count):
        glue = rng.choice(["", " ", "", "\n"])
        pool = rng.choice([NASTY, [*NASTY, *words * 3], [*words, " ", " ", ".", ","]])
        made.append(glue.join(rng.choices(pool, k=rng.randint(0, 25))))
    return made


def expected(tokenizer: Tokenizer, documents: list[str]) -> list[list[int]]:
    return [e.ids for e in tokenizer.encode_batch_fast(documents, add_special_tokens=False)]


def check(tokenizer: Tokenizer, documents: list[str], encode: Callable[..., Any] | None = None) -> None:
    found = (encode or make_encoder(tokenizer, U16))(documents)
    ids = np.split(np.frombuffer(found.tokens, U16), np.cumsum(found.lengths)[:-1])
    for document, mine, theirs in zip(documents, ids, expected(tokenizer, documents), strict=True):
        assert mine.tolist() == theirs, repr(document)
    for document, number in zip(documents, found.hashes.tolist(), strict=True):
        assert number == text_hash(document), repr(document)
    assert found.exact_hashes.tolist() == list(map(exact_hash, documents))


@pytest.mark.parametrize("family", FAMILIES)
def test_parts_give_what_the_tokenizer_gives(family: str) -> None:
    tokenizer = tiny_tokenizer(family).backend_tokenizer
    encode = make_encoder(tokenizer, U16)
    assert isinstance(encode, PartEncoder)
    for seed in range(4):
        check(tokenizer, texts(seed, 150), encode)


def test_words_that_are_cut_give_what_the_tokenizer_gives() -> None:
    words = ["".join(random.Random(n).choices("acgt", k=20 * n)) for n in range(1, 20)]
    tokenizer = train_tokenizer(
        [*CORPUS * 2, *words], TokenizerOptions(tokenizer="wordpiece", vocab_size=400), 64
    ).backend_tokenizer
    encode = make_encoder(tokenizer, U16)
    assert isinstance(encode, PartEncoder)
    check(tokenizer, [*words, "-".join(words), "ไทย".join(words)], encode)
    for seed in range(4):
        check(tokenizer, texts(seed, 150), encode)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_character_that_may_change_where_a_text_can_be_cut(family: str) -> None:
    """All that is not a letter or an ideograph, beside a space, a mark and a letter."""
    kinds = ("Z", "C", "M", "P", "Sk")
    odd = [chr(c) for c in range(0x2100) if unicodedata.category(chr(c)).startswith(kinds)]
    documents = [f"a{c} {c}b,{c}c{c}. {c} \n{c}\n'{c}s" for c in odd]
    check(tiny_tokenizer(family).backend_tokenizer, documents)


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_what_is_forgotten_is_encoded_again(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOGETHER", 7)
    monkeypatch.setattr(parts, "MAX_PARTS", 30)
    tokenizer = tiny_tokenizer(family).backend_tokenizer
    encode = make_encoder(tokenizer, U16)
    for seed in (1, 2, 1):
        check(tokenizer, texts(seed, 40), encode)


def bert(**options: Any) -> Tokenizer:
    vocabulary = tiny_tokenizer().get_vocab()
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(**options)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


@pytest.mark.parametrize(
    "options",
    [{"lowercase": False}, {"strip_accents": False}, {"clean_text": False}, {"handle_chinese_chars": False}],
    ids=str,
)
def test_variants_of_berts_normaliser(options: dict[str, bool]) -> None:
    check(bert(**options), texts(3, 300))


@pytest.mark.parametrize(
    "token",
    [
        AddedToken("lion"),
        AddedToken("lion", normalized=False),
        AddedToken("the lion", normalized=False),
        AddedToken("[X]", rstrip=True, normalized=False),
        AddedToken("[X]", single_word=True, normalized=False),
        AddedToken("a", special=True, normalized=False),
        AddedToken("  ", normalized=False),
    ],
    ids=str,
)
@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "deberta-v2"])
def test_added_tokens_of_every_kind(family: str, token: AddedToken) -> None:
    tokenizer = Tokenizer.from_str(tiny_tokenizer(family).backend_tokenizer.to_str())
    tokenizer.add_tokens([token])
    mentions = ["The LION, the lion  and   the lions", "[X] a[X]b [X] [x]\n[X]", "a A\ta  a", "[Xlion] the\u00a0lion"]
    check(tokenizer, [*mentions, *texts(4, 60)])


def without_regex() -> Tokenizer:
    tokenizer = Tokenizer.from_str(tiny_tokenizer("roberta").backend_tokenizer.to_str())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return tokenizer


def position_dependent() -> Tokenizer:
    tokenizer = Tokenizer.from_str(tiny_tokenizer("deberta-v2").backend_tokenizer.to_str())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    return tokenizer


def with_dropout() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(dropout=0.1))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    return tokenizer


@pytest.mark.parametrize("make", [without_regex, position_dependent, with_dropout])
def test_what_cannot_be_shown_is_left_to_the_tokenizer(make: Callable[[], Tokenizer]) -> None:
    assert find_chunking(make()) is None
    assert isinstance(make_encoder(make(), U16), WholeEncoder)


def test_a_prefix_space_is_not_added_within_a_text() -> None:
    tokenizer = Tokenizer.from_str(tiny_tokenizer("roberta").backend_tokenizer.to_str())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    check(tokenizer, texts(5, 300))


def test_no_documents_and_empty_ones() -> None:
    tokenizer = tiny_tokenizer().backend_tokenizer
    check(tokenizer, ["", "a", "", "", " ", "b", ""])
    assert make_encoder(tokenizer, U16)([]).tokens == b""
