"""Texts as tokens, in parts: a text of a million characters is never a list of a million tokens."""

import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from app.modalities.text.items import TokenInfo
from app.serving.locating import of_item

PART = 10_000  # tokens that are held at once
REPORTED_CHARACTERS = 50_000  # of a request, in which lost characters are looked for

Split = Callable[[str], Iterator[TokenInfo]]
TokenParts = Iterator[list[TokenInfo]]


def tokenize_all(split: Split, texts: Sequence[str], over: threading.Event, part: int = PART) -> list[TokenParts]:
    """Returns an iterator for each text, over lists of at most `part` tokens. All end once `over` is set.

    They raise what `split` raises, with the index of the text.
    """
    return [_parts(split, text, index, len(texts), over, part) for index, text in enumerate(texts)]


def take_first(texts: Sequence[str], characters: int) -> list[str]:
    """Returns the first texts, with so many characters together; the last one is cut."""
    found = []
    for text in texts:
        found.append(text[:characters])
        characters -= len(text)
        if characters <= 0:
            break
    return found


def _parts(split: Split, text: str, index: int, count: int, over: threading.Event, size: int) -> TokenParts:
    with of_item(index, count):
        tokens = split(text)
        while not over.is_set() and (part := list(islice(tokens, size))):
            yield part
