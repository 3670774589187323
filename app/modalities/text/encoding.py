"""Text → token ids that fit the model, safe from many threads."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from tokenizers import Encoding, Tokenizer
from transformers import PreTrainedTokenizerBase

from app.errors import EmptyInput, InputTooLong, InvalidModel, InvalidValue
from app.modalities.text.items import MASK_ALIAS, TokenInfo
from app.modalities.text.windows import Span, place_window
from app.types import TruncationSide

QUICK_CHARACTERS = 2000  # of a text that is tokenized in less than a millisecond

# Characters of a text that are tokenized: at least _LEAST_CHARACTERS, and for models of long texts as many for
# each token as the longest entry of the vocabulary has, within this range. Prose has about 5.
_LEAST_CHARACTERS = 50_000
_CHARACTERS_PER_TOKEN = (32, 128)

_PROBES = 1000  # entries of a vocabulary that are tried as a text, where it has no letter "a"

_SCANNED = 1 << 18  # characters searched for masks at once: the search holds the GIL for less than 5 ms


@dataclass(frozen=True)
class Content:
    """A text's tokens without the special ones around them.

    words: which word each is of, as the tokenizer splits texts before it looks for tokens.
    offsets: characters of each.
    """

    ids: list[int]
    words: list[int]
    offsets: list[tuple[int, int]]


class TextEncoder:
    """A tokenizer's stateless side.

    Truncation and padding are settings inside a fast tokenizer, shared by its threads, so they are
    switched off for good here and done by hand, on ids.

    entries: the highest id plus one; a model's table may have further rows, which stand for nothing.
    example: a short text that has a token. prefix, suffix: ids of the special tokens around every text.
    Raises InvalidModel for a tokenizer that makes no token of any text.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self._backend = tokenizer.backend_tokenizer
        self._backend.no_truncation()
        self._backend.no_padding()
        self.example, self.prefix, self.suffix = _probe(self._backend)
        self.mask_token: str | None = tokenizer.mask_token
        names = dict.fromkeys((MASK_ALIAS, self.mask_token or MASK_ALIAS))
        self._longest_mask = max(map(len, names))
        self.mask_pattern = re.compile("|".join(re.escape(name) for name in names))
        least, most = _CHARACTERS_PER_TOKEN
        vocabulary = tokenizer.get_vocab()
        self._per_token = min(max(least, *map(len, vocabulary)), most)
        self.entries = 1 + max(vocabulary.values())

    @property
    def mask(self) -> tuple[str, int]:
        """The mask token and its id. Raises ValueError where the tokenizer has none."""
        if self.mask_token is None:
            raise ValueError("a tokenizer without a mask token cannot fill masks")
        return self.mask_token, int(self.tokenizer.mask_token_id)

    def mask_spans(self, text: str) -> Iterator[tuple[int, int]]:
        """The characters of each mask in a text, in its order. Other threads run while a long text is searched."""
        start = 0
        while start < len(text):
            stop = start + _SCANNED
            # A mask that begins before `stop` may end after it.
            for found in self.mask_pattern.finditer(text, start, stop + self._longest_mask):
                if found.start() >= stop:
                    break
                yield found.span()
                start = found.end()
            start = max(start, stop)

    def max_characters(self, limit: int) -> int:
        """Characters of a text that are tokenized for a model that reads `limit` tokens.

        A longer text is taken to have more tokens than that. It may have fewer where it is almost all white space,
        or words that the vocabulary has one token for whatever their length (unknown ones).
        """
        return max(_LEAST_CHARACTERS, limit * self._per_token)

    def check_characters(self, text: str, limit: int, windows: int, what: str) -> None:
        """Raises InputTooLong for a text that has more characters than so many windows of `limit` tokens may have.

        what: the kind of text, for the error.
        """
        bound = self.max_characters(windows * limit)
        if len(text) > bound:
            raise InputTooLong(f"the input has {len(text)} characters, and {what} may have {bound}", param="input")

    def shorten(
        self, text: str, limit: int, *, truncate: bool, side: TruncationSide | None, keep: Span | None = None
    ) -> tuple[str, int]:
        """Cuts a text of more than `max_characters(limit)` to so many, before any of it is tokenized.

        side, keep: as for `place_window`; the characters that must survive.
        Returns the part and where it begins. Raises InputTooLong.
        """
        bound = self.max_characters(limit)
        if len(text) <= bound:
            return text, 0
        size = f"the input has {len(text)} characters"
        reads = f"the model reads at most {limit} tokens, of at most {bound} characters together"
        if not truncate:
            raise InputTooLong(f"{size} and {reads}; shorten it or set truncate", param="input")
        if keep and keep[1] - keep[0] > bound:
            raise InputTooLong(
                f"{size}, its masks span {keep[1] - keep[0]} of them, and {reads}, so truncation would lose a mask",
                param="input",
            )
        start = place_window(len(text), bound, side, keep)
        return text[start : start + bound], start

    def content_ids(self, text: str) -> list[int]:
        """Token ids without the special tokens around them. Raises EmptyInput, InvalidValue."""
        return list(self._content(text).ids)

    def content(self, text: str, start: int = 0) -> Content:
        """As `content_ids`, with words and offsets. start: of `text` in the text that the offsets are of."""
        encoding = self._content(text)
        offsets = [(a + start, b + start) for a, b in encoding.offsets] if start else encoding.offsets
        return Content(encoding.ids, [-1 if word is None else word for word in encoding.word_ids], offsets)

    def _content(self, text: str) -> Encoding:
        if not text.strip():
            raise EmptyInput("the input is empty", param="input")
        return self._encode(text, add_special_tokens=False)

    def strip(self, ids: Sequence[int]) -> list[int]:
        """The ids without the special tokens around them, where they are there."""
        head, tail = len(self.prefix), len(ids) - len(self.suffix)
        wrapped = head < tail and list(ids[:head]) == self.prefix and list(ids[tail:]) == self.suffix
        return list(ids[head:tail] if wrapped else ids)

    def fit(
        self, content: list[int], limit: int, *, truncate: bool, side: TruncationSide | None, keep: Sequence[int] = ()
    ) -> tuple[list[int], int]:
        """Adds the special tokens to `content`, cut where it must be to at most `limit` ids in all.

        side: as for `place_window`. keep: ascending indices into `content` that must survive.
        Returns the ids and what to add to an index into `content` to find it there.
        Raises InputTooLong.
        """
        room = limit - len(self.prefix) - len(self.suffix)
        start = 0
        if len(content) > room:
            total = len(content) + limit - room
            if not truncate:
                raise InputTooLong(
                    f"the input has {total} tokens and the model reads at most {limit}; shorten it or set truncate",
                    param="input",
                )
            kept = (keep[0], keep[-1] + 1) if keep else None
            if kept and kept[1] - kept[0] > room:
                raise InputTooLong(
                    f"the input has {total} tokens, its masks span {kept[1] - kept[0]} of them, and the model reads at "
                    f"most {limit}, so truncation would lose a mask",
                    param="input",
                )
            start = place_window(len(content), room, side, kept)
        return [*self.prefix, *content[start : start + room], *self.suffix], len(self.prefix) - start

    def __deepcopy__(self, memo: object) -> "TextEncoder":
        return self  # replicas of a model share it

    def tokens(self, text: str, *, add_special_tokens: bool) -> Iterator[TokenInfo]:
        """One by one: a million at once would take a second of the GIL, and 400 MB."""
        encoding = self._encode(text, add_special_tokens=add_special_tokens)
        for index, (id_, special) in enumerate(zip(encoding.ids, encoding.special_tokens_mask, strict=True)):
            if special:
                yield TokenInfo(id_, self.token_text(id_), True, None, None)
            else:
                start, stop = encoding.token_to_chars(index) or (0, 0)
                yield TokenInfo(id_, text[start:stop], False, start, stop)

    def token_text(self, id_: int) -> str:
        """Returns an entry of the vocabulary."""
        return str(self._backend.id_to_token(id_))

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool) -> str:
        """Returns the text of token ids. Raises InvalidValue for an id that is outside the vocabulary."""
        wrong = next((i for i in ids if not 0 <= i < self.entries), None)
        if wrong is not None:
            raise InvalidValue(f"token id {wrong} is outside this model's vocabulary of {self.entries}", param="input")
        return str(self._backend.decode(ids, skip_special_tokens=skip_special_tokens))

    def decode_token(self, id_: int) -> str:
        """Returns an entry of the vocabulary as text, without the space before a word."""
        return str(self._backend.decode([id_], skip_special_tokens=False)).strip()

    def _encode(self, text: str, *, add_special_tokens: bool) -> Encoding:
        try:
            if len(text) <= QUICK_CHARACTERS:
                encoding: Encoding = self._backend.encode(text, add_special_tokens=add_special_tokens)
            else:  # the same, but it lets other threads run; a short text is not worth the hop to a thread
                (encoding,) = self._backend.encode_batch([text], add_special_tokens=add_special_tokens)
        except TypeError as e:  # half of a surrogate pair
            raise InvalidValue("the input is not valid Unicode", param="input") from e
        return encoding


def _probe(backend: Tokenizer) -> tuple[str, list[int], list[int]]:
    """A text that has a token, and the ids of the special tokens before and after it."""
    special = {token.content for token in backend.get_added_tokens_decoder().values()}
    entries = (entry.removeprefix("##").strip("▁Ġ ") for entry in backend.get_vocab() if entry not in special)
    for text in ("a", *islice(entries, _PROBES)):
        bare = backend.encode(text, add_special_tokens=False).ids
        whole = backend.encode(text).ids
        start = next((i for i in range(len(whole)) if bare and whole[i : i + len(bare)] == bare), None)
        if start is not None:
            return text, whole[:start], whole[start + len(bare) :]
    raise InvalidModel("the tokenizer gives no token for any text")
