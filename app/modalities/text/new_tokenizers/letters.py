"""Kinds of tokenizers whose tokens follow from a rule: characters, bytes, regex and kmer."""

import re
import string
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from itertools import islice, product

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from app.errors import InvalidValue
from app.methods.patterns import find_pattern
from app.methods.tokenizers import TokenizerOptions
from app.modalities.text.new_tokenizers.assembly import (
    SPECIAL,
    UNKNOWN,
    Trained,
    finish,
    first_characters,
    normalizer,
    number,
    room,
)

COUNTED_CHARS = 10_000_000  # characters in which the tokens of regex and kmer are counted
_ANY = r"[\s\S]"
_OVERLAPPING = re.compile("[A-Z][a-z]+")
_RUN = re.compile("[A-Z]+")


def train_characters(documents: Iterable[str], options: TokenizerOptions) -> Trained:
    """One token for each character. The most frequent characters are the vocabulary."""
    normalize = normalizer(options)
    counts: Counter[str] = Counter()
    for document in documents:
        counts.update(normalize.normalize_str(document))
    return _finish_split(_ANY, normalize, _most_frequent(counts, options))


def train_bytes(documents: Iterable[str], options: TokenizerOptions) -> Trained:
    """One token for each byte of the text in UTF-8. Nothing is lost and nothing is learnt."""
    entries = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab=number(entries), merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return finish(tokenizer, dict(SPECIAL), mask_takes_space=False)


def train_regex(documents: Iterable[str], options: TokenizerOptions) -> Trained:
    """One token for each match of a pattern, and one for each character between matches."""
    expression = f"(?:{find_pattern(options.tokenizer_pattern or 'smiles')})|{_ANY}"
    normalize = normalizers.NFC()
    split = _splitter(expression)
    counts: Counter[str] = Counter()
    for document in first_characters(documents, COUNTED_CHARS):
        counts.update(piece for piece, _ in split.pre_tokenize_str(normalize.normalize_str(document)))
    letters = [entry for entry in counts if len(entry) == 1]
    return _finish_split(expression, normalize, _most_frequent(counts, options, first=letters))


def train_kmer(documents: Iterable[str], options: TokenizerOptions) -> Trained:
    """Tokens of k letters, as in DNABERT (overlapping) and Nucleotide Transformer (side by side).

    Letters are upper-cased. Other characters are tokens of their own, and no k-mer contains them.

    With stride 1 every letter begins a token: the letter and the k - 1 letters behind it, which are written in lower
    case (`Acg`). The last tokens of a run are shorter, so there are as many tokens as letters, and decoding is exact.
    """
    length, overlap = options.kmer_length, options.kmer_stride == 1
    runs: Counter[str] = Counter()
    letters: Counter[str] = Counter()
    for document in first_characters(documents, COUNTED_CHARS):
        text = document.upper()
        letters.update(text)
        for run in _RUN.findall(text):
            runs.update(_overlapping(run, length) if overlap else _side_by_side(run, length))
    alphabet = "".join(sorted(letter for letter in letters if letter in string.ascii_uppercase))
    if not alphabet:
        raise InvalidValue("the tokenizer kmer needs text of letters from A to Z", param="tokenizer")
    upper = [normalizers.Replace(letter.lower(), letter) for letter in alphabet]
    seen = _most_frequent(letters + runs, options, first=letters)
    # A k-mer that is not in the sample may be in the rest, or at the end of a run.
    entries = list(dict.fromkeys([*seen, *islice(_possible(alphabet, length, overlap), room(options))]))[
        : room(options)
    ]
    if not overlap:
        return _finish_split(f"[A-Z]{{{length}}}|{_ANY}", normalizers.Sequence([*upper, normalizers.NFC()]), entries)
    copies = _copies(alphabet, length)
    normalize = normalizers.Sequence([normalizers.NFC(), *upper, *copies])
    return _finish_split(f"[A-Z][a-z]*|{_ANY}", normalize, entries, decoder=decoders.Replace(Regex("[a-z]"), ""))


def overlapping_length(vocabulary: Container[str], entries: Iterable[str]) -> int | None:
    """Returns the length of the overlapping k-mers of a vocabulary, or None if it has other entries."""
    longer = [entry for entry in entries if len(entry) > 1 and entry not in SPECIAL.values()]
    regular = all(_OVERLAPPING.fullmatch(e) and all(c.upper() in vocabulary for c in e) for e in longer)
    return max(map(len, longer)) if longer and regular else None


def _copies(alphabet: str, length: int) -> list[normalizers.Normalizer]:
    """Returns the steps that write behind each letter of a run the next length - 1 letters, in lower case.

    Step j, for each letter X: behind a letter with j - 1 copies, where the letter that is j places on is X, comes x.
    """
    upper, lower = f"[{alphabet}]", f"[{alphabet.lower()}]"
    steps: list[normalizers.Normalizer] = []
    for place in range(1, length):
        behind = f"(?<={upper}{lower}{{{place - 1}}})" if place > 1 else f"(?<={upper})"
        between = f"{upper}(?:{lower}*{upper}){{{place - 2}}}{lower}*" if place > 1 else ""
        steps += [normalizers.Replace(Regex(f"{behind}(?={between}{x})"), x.lower()) for x in alphabet]
    return steps


def _possible(alphabet: str, length: int, overlap: bool) -> Iterator[str]:
    """Yields all k-mers of an alphabet, the short ones first."""
    for size in range(1, length + 1) if overlap else (length,):
        for letters in product(alphabet, repeat=size):
            yield letters[0] + "".join(letters[1:]).lower() if overlap else "".join(letters)


def _overlapping(run: str, length: int) -> Iterator[str]:
    return (run[at] + run[at + 1 : at + length].lower() for at in range(len(run)))


def _side_by_side(run: str, length: int) -> Iterator[str]:
    return (run[at : at + length] for at in range(0, len(run) - length + 1, length))


def _most_frequent(counts: Counter[str], options: TokenizerOptions, *, first: Iterable[str] = ()) -> list[str]:
    """Returns the entries of the vocabulary: the most frequent of `first`, then the most frequent of all."""

    def rank(entries: Iterable[str]) -> list[str]:
        return sorted(entries, key=lambda entry: (-counts[entry], entry))

    return list(dict.fromkeys([*rank(first), *rank(counts)]))[: room(options)]


def _splitter(expression: str) -> pre_tokenizers.PreTokenizer:
    """Raises InvalidValue for what the library does not read, such as the class `[z-a]` or the property `\\p{Foo}`."""
    try:
        return pre_tokenizers.Split(Regex(expression), "isolated")
    except Exception as error:  # the library raises no narrower one
        raise InvalidValue(
            f"the tokenizer's pattern is not a regular expression: {error}", param="tokenizer_pattern"
        ) from error


def _finish_split(
    expression: str,
    normalize: normalizers.Normalizer,
    entries: list[str],
    decoder: decoders.Decoder | None = None,
) -> Trained:
    tokenizer = Tokenizer(models.WordLevel(number(entries), unk_token=UNKNOWN))
    tokenizer.normalizer = normalize
    tokenizer.pre_tokenizer = _splitter(expression)
    tokenizer.decoder = decoders.Sequence([each for each in (decoder, decoders.Fuse()) if each is not None])
    return finish(tokenizer, dict(SPECIAL), mask_takes_space=False)
