"""Text → token ids that fit the model, safe from many threads."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Encoding
from transformers import PreTrainedTokenizerBase

from app.errors import EmptyInput, InputTooLong, InvalidValue
from app.objectives.text.items import MASK_ALIAS, TokenInfo
from app.types import TruncationSide

QUICK_CHARACTERS = 2000  # of a text that is tokenised in a fraction of a millisecond


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
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self._backend = tokenizer.backend_tokenizer
        self._backend.no_truncation()
        self._backend.no_padding()
        probe = self._backend.encode("a")
        content = [i for i, special in enumerate(probe.special_tokens_mask) if not special]
        self.prefix: list[int] = probe.ids[: content[0]]
        self.suffix: list[int] = probe.ids[content[-1] + 1 :]
        self.mask_token: str | None = tokenizer.mask_token
        names = dict.fromkeys((MASK_ALIAS, self.mask_token or MASK_ALIAS))
        self.mask_pattern = re.compile("|".join(re.escape(name) for name in names))

    @property
    def mask(self) -> tuple[str, int]:
        """The mask token and its id. Raises ValueError where the tokenizer has none."""
        if self.mask_token is None:
            raise ValueError("a tokenizer without a mask token cannot fill masks")
        return self.mask_token, int(self.tokenizer.mask_token_id)

    def content_ids(self, text: str) -> list[int]:
        """Token ids without the special tokens around them. Raises EmptyInput, InvalidValue."""
        return list(self._content(text).ids)

    def content(self, text: str) -> Content:
        """As `content_ids`, with words and offsets."""
        encoding = self._content(text)
        return Content(encoding.ids, [-1 if word is None else word for word in encoding.word_ids], encoding.offsets)

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
        self, content: list[int], limit: int, *, truncate: bool, side: TruncationSide, keep: Sequence[int] = ()
    ) -> tuple[list[int], int]:
        """Adds the special tokens to `content`, cut where it must be to at most `limit` ids in all.

        keep: ascending indices into `content` that must survive. Where cutting at `side` would lose
        one, what stays is centred on them, with context on both sides.
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
            start = 0 if side is TruncationSide.RIGHT else len(content) - room
            if keep and not start <= keep[0] <= keep[-1] < start + room:
                span = keep[-1] - keep[0] + 1
                if span > room:
                    raise InputTooLong(
                        f"the input has {total} tokens, its masks span {span} of them, and the model reads at most "
                        f"{limit}, so truncation would lose a mask",
                        param="input",
                    )
                start = min(max(keep[0] - (room - span) // 2, 0), len(content) - room)
        return [*self.prefix, *content[start : start + room], *self.suffix], len(self.prefix) - start

    def __deepcopy__(self, memo: object) -> "TextEncoder":
        return self  # replicas of a model share it

    def tokens(self, text: str, *, add_special_tokens: bool) -> list[TokenInfo]:
        encoding = self._encode(text, add_special_tokens=add_special_tokens)
        parts = zip(encoding.ids, encoding.tokens, encoding.special_tokens_mask, encoding.offsets, strict=True)
        return [
            TokenInfo(id_, token, True, None, None) if special else TokenInfo(id_, text[a:b], False, a, b)
            for id_, token, special, (a, b) in parts
        ]

    def _encode(self, text: str, *, add_special_tokens: bool) -> Encoding:
        try:
            encoding: Encoding = self._backend.encode(text, add_special_tokens=add_special_tokens)
        except TypeError as e:  # half of a surrogate pair, which JSON can carry
            raise InvalidValue("the input is not valid Unicode", param="input") from e
        return encoding
