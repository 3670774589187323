"""Filters of candidates: the entries of a vocabulary that may fill a mask.

Patterns are matched by RE2 (through Arrow), whose time is linear in the text.
"""

import itertools
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.errors import InputTooLong, InvalidValue
from app.modalities.text.candidates.options import CandidateFilter
from app.modalities.text.encoding import TextEncoder
from app.modalities.text.word_starts import mark_continuations

_KEPT = 16  # filters of a model that are remembered: a quarter of a megabyte each for the largest vocabularies
_CHUNK = 2048  # entries that a pattern is matched on between two looks at the clock
_SECONDS = 2.0  # for all entries; the worst patterns that RE2 accepts take about 0.5 s for 30,000
_READ = 1 << 18  # characters of a text whose words are not repeated: reading them holds the GIL for about 0.1 s
_LETTERS = re.compile(r"\w+")
_WORD = re.compile(r"\w+(?:['’-]\w+)*")

Bools = NDArray[np.bool_]


class VocabularyFilters:
    """The filters of one model's vocabulary.

    entries: ids from 0 up to it are candidates.
    marks_words: whether the vocabulary marks the tokens that begin a word at a mask, or those that do not.
    """

    def __init__(self, encoder: TextEncoder, entries: int, *, marks_words: bool) -> None:
        self._encoder = encoder
        self._entries = entries
        self._marks_words = marks_words
        self._vocabulary: dict[str, int] = encoder.tokenizer.get_vocab()
        self._kept: OrderedDict[CandidateFilter, Bools] = OrderedDict()
        self._lock = threading.Lock()

    def __deepcopy__(self, memo: object) -> "VocabularyFilters":
        return self  # replicas of a model share it

    def find(self, given: CandidateFilter, text: str) -> Tensor:
        """Returns which entries may fill a mask of `text`, [entries] bool. Raises InvalidValue if there are none."""
        allowed = self._of_vocabulary(given)
        if given.no_repeats:
            allowed = allowed.copy()
            allowed[self.repeated_by(self._words(text))] = False
        if not allowed.any():
            names = given.fields
            raise InvalidValue(
                f"no entry of the model's vocabulary passes {' and '.join(f'`{name}`' for name in names)}",
                param=names[0],
            )
        return torch.tensor(allowed)

    def keep(self, given: CandidateFilter, words: Sequence[str], text: str) -> tuple[str, ...]:
        """Returns those of `words`, of any number of tokens, that pass. Raises InvalidValue if there are none."""
        plain = list(map(self._normalized, words))
        allowed, banned = (set(map(self._normalized, each)) for each in (given.allow, given.ban))
        held = self._words(text) if given.no_repeats else set()
        matches = itertools.repeat(True) if given.pattern is None else match(given.pattern, plain).tolist()
        kept = tuple(
            word
            for word, string, matched in zip(words, plain, matches, strict=False)
            if matched
            and (not allowed or string in allowed)
            and string not in banned
            and (not given.words_only or _is_word(string))
            and string.casefold() not in held
        )
        if not kept:
            raise InvalidValue(
                f"none of the targets passes {' and '.join(f'`{name}`' for name in given.fields)}", param="targets"
            )
        return kept

    def repeated_by(self, words: Iterable[str]) -> list[int]:
        """Returns the ids that write one of `words`, which are case-folded."""
        return [token for word in words for token in self._by_word.get(word, ())]

    def word_of(self, token: int) -> str:
        """Returns the case-folded word that a token writes."""
        return self._strings[token].casefold()

    def _of_vocabulary(self, given: CandidateFilter) -> Bools:
        """Returns the entries that pass the conditions on the vocabulary alone, from memory if possible."""
        key = CandidateFilter(given.allow, given.ban, given.pattern, given.words_only)
        with self._lock:
            if (known := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                return known
        found = self._match(key)
        found.flags.writeable = False
        with self._lock:
            self._kept[key] = found
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return found

    def _match(self, given: CandidateFilter) -> Bools:
        allowed = np.ones(self._entries, bool)
        if given.allow:
            allowed[:] = False
            for word in given.allow:
                if not (ids := self._ids(word)):
                    raise InvalidValue(
                        f"{word[:60]!r} of `allow` is not one token of this model's vocabulary", param="allow"
                    )
                allowed[ids] = True
        if given.words_only:
            allowed &= self._are_words
        if given.pattern is not None:
            allowed &= match(given.pattern, self._strings)
        for word in given.ban:
            allowed[self._ids(word)] = False
        return allowed

    def _ids(self, word: str) -> list[int]:
        """Returns the ids that write a word, and the one whose entry in the vocabulary it is."""
        exact = self._vocabulary.get(word, self._entries)
        written = self._by_string.get(word.strip()) or self._by_string.get(self._normalized(word), [])
        return [*written, *([exact] if exact < self._entries else [])]

    def _normalized(self, word: str) -> str:
        """Returns a word as the tokenizer reads it: in lower case and without accents where the vocabulary has none."""
        normalizer = self._encoder.tokenizer.backend_tokenizer.normalizer
        return word.strip() if normalizer is None else str(normalizer.normalize_str(word)).strip(" ▁")

    def _words(self, text: str) -> set[str]:
        """Returns the case-folded words of a text: those that a reader sees, and those that the tokenizer splits.

        Raises InputTooLong for a text of which too much would be read, since truncation does not cut it here.
        """
        if len(text) > _READ:
            raise InputTooLong(
                f"the input has {len(text)} characters, and `no_repeats` reads at most {_READ}", param="input"
            )
        text = self._encoder.mask_pattern.sub(" ", text)
        if not text.strip():
            return set()
        content = self._encoder.content(text)
        spans: dict[int, tuple[int, int]] = {}
        for word, (start, end) in zip(content.words, content.offsets, strict=True):
            spans[word] = spans.get(word, (start, end))[0], end
        found = {text[start:end].strip() for start, end in spans.values()}
        for part in set(text.split()):  # no word goes beyond white space, and a long text repeats its words
            written = f"{part}\n{self._normalized(part)}"
            found.update(_WORD.findall(written), _LETTERS.findall(written))
        return {word.casefold() for word in found} - {""}

    @cached_property
    def _strings(self) -> list[str]:
        """Each entry's token, decoded alone and without the white space around it."""
        ids = [[token] for token in range(self._entries)]
        decoded = self._encoder.tokenizer.backend_tokenizer.decode_batch(ids, skip_special_tokens=False)
        return [each.strip() for each in decoded]

    @cached_property
    def _by_string(self) -> dict[str, list[int]]:
        return _index(self._strings)

    @cached_property
    def _by_word(self) -> dict[str, list[int]]:
        return _index([each.casefold() for each in self._strings])

    @cached_property
    def _are_words(self) -> Bools:
        tokenizer = self._encoder.tokenizer
        words = np.array([_is_word(each) for each in self._strings], bool)
        words[[token for token in tokenizer.all_special_ids if token < self._entries]] = False
        if self._marks_words:
            words &= ~mark_continuations(tokenizer, self._entries)
        return words


def match(pattern: str, strings: Sequence[str]) -> Bools:
    """Returns which strings have a match. Raises InvalidValue for a pattern that RE2 refuses, or a slow one."""
    import pyarrow as pa
    from pyarrow import compute

    start, found = time.monotonic(), []
    for first in range(0, len(strings), _CHUNK):
        if time.monotonic() - start > _SECONDS:
            raise InvalidValue(
                "`pattern` takes too long on this model's vocabulary; write a shorter one", param="pattern"
            )
        part = pa.array(strings[first : first + _CHUNK], pa.string())
        try:
            found.append(compute.match_substring_regex(part, pattern=pattern).to_numpy(zero_copy_only=False))
        except (pa.ArrowInvalid, UnicodeEncodeError) as error:
            reason = str(error).removeprefix("Invalid regular expression: ")[:200]
            raise InvalidValue(f"`pattern` is not a regular expression of RE2: {reason}", param="pattern") from error
    return np.concatenate(found).astype(bool)


def _is_word(string: str) -> bool:
    return _WORD.fullmatch(string) is not None and any(map(str.isalnum, string))


def _index(strings: Iterable[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for token, string in enumerate(strings):
        found.setdefault(string, []).append(token)
    return found
