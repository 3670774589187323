"""Kinds of tokenizers whose vocabulary is learnt: wordpiece, bpe and unigram."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from app.methods.text import LONG_WORDS, WORD_CHARS
from app.methods.tokenizers import SPECIAL_TOKENS, TokenizerOptions
from app.modalities.text.new_tokenizers.assembly import (
    BPE_SPECIAL,
    SPECIAL,
    UNKNOWN,
    Trained,
    finish,
    first_characters,
    normalizer,
    room,
)

ALPHABET = 2000  # entries for single letters, or half of the vocabulary if that is more; rarer letters are unknown
MIN_FREQUENCY = 2  # of a new entry: one that occurs once teaches nothing
_LONG = re.compile(rf"\S{{{WORD_CHARS + 1},}}")
UNIGRAM_CHARS = 1_000_000  # characters that unigram is trained on


def train_wordpiece(documents: Iterable[str], options: TokenizerOptions) -> Trained:
    """WordPiece, as in BERT. Words are separated by white space, which is not kept."""
    texts = list(documents)
    tokenizer = _empty_wordpiece({}, options)
    letters, continuing = _alphabet(texts, tokenizer, room(options))
    # The library numbers the continuing letters in the order of a hash map, which makes every
    # vocabulary another one; named beforehand, in order, they make it the same for the same text.
    trainer = trainers.WordPieceTrainer(
        vocab_size=room(options) + SPECIAL_TOKENS,
        min_frequency=MIN_FREQUENCY,
        special_tokens=[*SPECIAL.values(), *(f"##{letter}" for letter in continuing)],
        initial_alphabet=letters,
        limit_alphabet=len(letters),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_cut_words(texts), trainer)
    # Built anew, so that those letters are no special tokens.
    return finish(_empty_wordpiece(tokenizer.get_vocab(), options), dict(SPECIAL), mask_takes_space=False)


def train_bpe(documents: Iterable[str], options: TokenizerOptions) -> Trained:
    """Byte-level BPE, as in GPT-2 and RoBERTa. Every byte has a token, so nothing is lost."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=max(options.vocab_size, 256 + SPECIAL_TOKENS),
        special_tokens=list(BPE_SPECIAL.values()),
        min_frequency=MIN_FREQUENCY,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_cut_words(documents), trainer)
    return finish(tokenizer, dict(BPE_SPECIAL), mask_takes_space=True)


def train_unigram(documents: Iterable[str], options: TokenizerOptions) -> Trained:
    """A unigram language model over pieces (arXiv 1804.10959), as in XLM-RoBERTa. Needs no spaces between words."""
    texts = list(first_characters(documents, UNIGRAM_CHARS))
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizer(options)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    kept = _frequent_letters(texts, tokenizer.normalizer, max(room(options) // 2, 1))
    trainer = trainers.UnigramTrainer(
        vocab_size=room(options) + SPECIAL_TOKENS,
        special_tokens=list(SPECIAL.values()),
        unk_token=UNKNOWN,
        shrinking_factor=0.5,  # of the vocabulary in each round, and one iteration a round: half the time
        n_sub_iterations=1,
        show_progress=False,
    )
    # Rare letters are left out: the trainer keeps every letter, however small the vocabulary.
    shown = ("".join(letter for letter in piece if letter in kept or letter.isspace()) for piece in _cut_words(texts))
    tokenizer.train_from_iterator(shown, trainer)
    return finish(tokenizer, dict(SPECIAL), mask_takes_space=True)


def _frequent_letters(texts: Iterable[str], normalize: normalizers.Normalizer, most: int) -> set[str]:
    counts = _count_letters(texts, normalize)
    return set(sorted(counts, key=lambda letter: (-counts[letter], letter))[:most])


def _empty_wordpiece(vocabulary: dict[str, int], options: TokenizerOptions) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=UNKNOWN))
    bert = normalizers.BertNormalizer(lowercase=options.lowercase, strip_accents=options.strip_accents)
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), bert])
    # Thai, Lao, Khmer, DNA and proteins are written without spaces: a line of them is one word. WordPiece makes an
    # unknown token of a word of more than 100 characters.
    cut = pre_tokenizers.Split(Regex(LONG_WORDS), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.BertPreTokenizer(), cut])
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def _count_letters(texts: Iterable[str], normalize: normalizers.Normalizer) -> Counter[str]:
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(normalize.normalize_str(text))
    return counts


def _alphabet(texts: Iterable[str], tokenizer: Tokenizer, entries: int) -> tuple[list[str], list[str]]:
    """Returns (letters, those of them that may go on with a word), the most frequent ones if not all fit.

    entries: of the vocabulary. Each letter takes one, or two if it may go on with a word.
    """
    counts = _count_letters(texts, tokenizer.normalizer)
    left = max(entries // 2, min(entries, ALPHABET))
    letters, continuing = [], []
    for letter in sorted(counts, key=lambda letter: (-counts[letter], letter)):
        if letter.isspace():
            continue
        # Marks and ideographs are words of their own.
        joins = len(tokenizer.pre_tokenizer.pre_tokenize_str(f"a{letter}")) == 1
        left -= 1 + joins
        if left < 0:
            break
        letters.append(letter)
        if joins:
            continuing.append(letter)
    return sorted(letters), sorted(continuing)


def _cut_words(documents: Iterable[str]) -> Iterator[str]:
    """Yields the documents, cut within their long words: training costs the square of a word's length."""
    for document in documents:
        start = 0
        for word in _LONG.finditer(document):
            for end in range(word.start() + WORD_CHARS, word.end(), WORD_CHARS):
                yield document[start:end]
                start = end
        yield document[start:]
