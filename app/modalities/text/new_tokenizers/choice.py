"""The choice of a kind of tokenizer for a job's data, from a sample of its texts."""

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from app.methods.patterns import SMILES
from app.methods.tokenizers import SPECIAL_TOKENS, TokenizerKind, TokenizerOptions

_SMILES = re.compile(SMILES)
_NUCLEOTIDES = frozenset("ACGTUN")
_AMINO_ACIDS = frozenset("ACDEFGHIKLMNPQRSTVWYXBZUO*-")
_SMILES_MARKS = frozenset("()=#[]123")  # some of them are in almost every molecule, and in no protein
_SURE = 0.98  # share of the characters that must belong to an alphabet
_SMALL = 64  # letters of an alphabet whose letters are tokens of their own
_LONG = 20.0  # mean characters of what stands between spaces, where spaces do not separate words
_MARKS = 0.12  # share of marks and digits, above that of prose (about 0.05)
# Thai, Lao, Myanmar, Khmer, and the scripts of Japanese and Chinese: no spaces between words.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_MOST = 0.5  # share of the characters that are of such a script
_MANY = 1000  # letters that are more than a script without ideographs has
_BYTES = 256


@dataclass(frozen=True)
class TokenizerChoice:
    """A kind of tokenizer and the reason for it, as a phrase."""

    kind: TokenizerKind
    reason: str


@dataclass(frozen=True)
class TextFacts:
    """Facts about a sample of texts, without white space.

    counts: of each character. word: mean characters between white space. marks: share of ASCII marks and digits.
    """

    counts: Counter[str]
    word: float
    marks: float

    def share(self, alphabet: frozenset[str]) -> float:
        """Returns the share of the characters that belong to an alphabet, in either case."""
        return sum(n for c, n in self.counts.items() if c.upper() in alphabet) / max(self.counts.total(), 1)


def choose_tokenizer(texts: Sequence[str], options: TokenizerOptions) -> TokenizerChoice:
    """Chooses the kind of tokenizer for data of which `texts` are a sample."""
    facts = _measure(texts)
    letters = f"{len(facts.counts)} different characters"
    if sum(n for c, n in facts.counts.items() if _UNSPACED.match(c)) > _MOST * facts.counts.total():
        return TokenizerChoice("unigram", f"{letters}, of a script without spaces between words")
    if facts.word > _LONG or _is_smiles(texts, facts):
        return _choose_without_words(texts, facts, letters)
    if options.vocab_size < _BYTES + SPECIAL_TOKENS:
        return TokenizerChoice("characters", f"{letters}, and vocab_size is less than the number of bytes")
    if facts.marks > _MARKS:
        return TokenizerChoice(
            "bpe", f"{facts.marks:.0%} of the text are marks and digits, as in source code and logs; bpe loses none"
        )
    if len(facts.counts) > min(_MANY, options.vocab_size // 4):
        return TokenizerChoice("bpe", f"{letters}, so some would be unknown to a vocabulary of words; bpe loses none")
    return TokenizerChoice(
        "wordpiece", f"words of {facts.word:.1f} characters on average, separated by spaces; {letters}"
    )


def _choose_without_words(texts: Sequence[str], facts: TextFacts, letters: str) -> TokenizerChoice:
    if _is_smiles(texts, facts):
        return TokenizerChoice("regex", "molecules in SMILES notation, whose atoms and bonds are the tokens")
    for name, alphabet in (("nucleotides", _NUCLEOTIDES), ("amino acids", _AMINO_ACIDS)):
        if facts.share(alphabet) >= _SURE and len(facts.counts) <= _SMALL:
            return TokenizerChoice("characters", f"sequences of {name}, {letters}, without words")
    if len(facts.counts) <= _SMALL:
        return TokenizerChoice("characters", f"{letters}, and no spaces between words")
    if facts.marks > _MARKS:
        return TokenizerChoice("bpe", f"{facts.marks:.0%} of the text are marks and digits; bpe loses none")
    return TokenizerChoice("unigram", f"{letters}, and no spaces between words")


def _measure(texts: Sequence[str]) -> TextFacts:
    words = [word for text in texts for word in text.split()]
    counts: Counter[str] = Counter()
    for word in words:
        counts.update(word)
    total = max(counts.total(), 1)
    marks = sum(counts[each] for each in string.punctuation + string.digits)
    return TextFacts(counts, total / max(len(words), 1), marks / total)


def _is_smiles(texts: Sequence[str], facts: TextFacts) -> bool:
    """Whether almost every character of the texts is part of a SMILES token, and some are bonds, branches or rings."""
    if any(len(text.split()) > 1 for text in texts if "\n" not in text) or not facts.counts.keys() & _SMILES_MARKS:
        return False
    if not facts.counts.keys() & {"c", "C"}:
        return False
    matched = sum(len(found[0]) for text in texts for found in _SMILES.finditer(text))
    return matched >= _SURE * facts.counts.total()
