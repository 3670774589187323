"""How large an answer may become: what asks for more is refused before anything is computed for it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import orjson

from app.errors import InvalidValue
from app.modalities.text.items import MASK_ALIAS, FillMaskItem
from app.serving.steps import TokenBudget
from app.settings import MIB

MAX_ANSWER = 64 * MIB  # characters of a request's answer
MAX_FILL_MASK_LINE = 2 * MIB  # of one line's, in a stream: its answers of many lines are held at once
MAX_TOKENIZE = 1_000_000  # characters of all texts: about 100 bytes of answer each, if every one is a token
_CANDIDATE = 128  # characters of an answer that a candidate takes beside its sequence
NUMBER = 12  # characters of a vector's number and its comma
_SPECIAL = 2  # tokens around a text
_QUICK = 100_000  # characters of an answer that is written sooner than a thread is asked to


def check_fill_mask(
    mask_token: str | None, items: Iterable[FillMaskItem], *, limit: int = MAX_ANSWER, param: str = "top_k"
) -> int:
    """Each candidate of each mask repeats its text, also where truncation cut what the model reads.

    mask_token: the model's own. Returns how many characters the answer may have. Raises InvalidValue.
    """
    masks = {MASK_ALIAS, mask_token or MASK_ALIAS}
    size = 0
    for item in items:
        found = min(sum(map(item.text.count, masks)), item.max_masks)
        wanted = min(item.top_k, len(item.targets) or item.top_k)
        size += (found * wanted + item.num_sequences) * (len(item.text) + _CANDIDATE)
    if size > limit:
        raise InvalidValue(
            f"the answer could have {size} characters, where {limit} are allowed: every candidate of every mask"
            f" repeats its text; lower `{param}`, or send fewer masks or shorter texts",
            param=param,
        )
    return size


def check_tokenize(texts: Sequence[str]) -> None:
    """Raises InvalidValue."""
    size = sum(map(len, texts))
    if size > MAX_TOKENIZE:
        raise InvalidValue(f"`input` has {size} characters in all; one request may have {MAX_TOKENIZE}", param="input")


def check_vectors(texts: Iterable[str], longest: int | None, dimensions: int, *, param: str) -> int:
    """longest: vectors of a text at most, where each of its tokens has one; None: as many as there are tokens.

    Returns how many characters the answer may have. Raises InvalidValue.
    """
    tokens = [len(text) + _SPECIAL for text in texts]  # a tokenizer makes hardly more than one of a character
    vectors = sum(tokens if longest is None else (min(each, longest) for each in tokens))
    size = vectors * dimensions * NUMBER
    if size > MAX_ANSWER:
        raise InvalidValue(
            f"the answer could have {size} characters, where {MAX_ANSWER} are allowed: send fewer or shorter inputs",
            param=param,
        )
    return size


class AnswerRoom:
    """Characters of large answers that are in memory at once, of all requests together. Small ones are not counted."""

    def __init__(self, characters: int = 2 * MAX_ANSWER) -> None:
        self._room = TokenBudget(characters)
        self._turn = asyncio.Lock()  # who needs much is not overtaken for ever by who needs little

    @asynccontextmanager
    async def taken(self, size: int) -> AsyncIterator[None]:
        """Waits until there is room for an answer of so many characters."""
        if size <= _QUICK:
            yield
            return
        async with AsyncExitStack() as held:
            async with self._turn:
                await held.enter_async_context(self._room.taken(size))
            yield


async def serialize(write: Callable[[], bytes], size: int) -> bytes:
    """The answer that `write` makes, of so many characters. The largest would hold the event loop for a second."""
    return write() if size <= _QUICK else await asyncio.to_thread(write)


def fragment(value: Any) -> orjson.Fragment:
    """A part of an answer, as JSON. No other thread runs while orjson writes, so large answers are made of parts."""
    return orjson.Fragment(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY))
