"""The size that an answer may have. A request for more is refused before anything is computed."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from app.errors import InvalidValue
from app.modalities.classification import ClassifyItem
from app.modalities.embedding import EmbedItem
from app.modalities.text.items import MASK_ALIAS, SPAN_START, FillMaskItem
from app.system.concurrency import TokenBudget
from app.types import InputType

_MIB = 1 << 20

MAX_ANSWER = 64 * _MIB  # characters of a request's answer
MAX_LINE = 2 * _MIB  # characters of a line's answer in a stream: the answers of many lines are held at once
MAX_TOKENIZED = 1_000_000  # characters of all texts: about 100 bytes of answer each, if every one is a token
MAX_DECODED = 100_000  # token ids of all lists: a token has at most some hundred characters
SMALL = 100_000  # characters of an answer that is written faster than a thread is started for it

_CANDIDATE = 128  # characters of an answer that a candidate takes beside its sequence
_TOKENS = 8 * 50  # characters of an answer that the tokens of a word may take
_SAMPLE = 80  # characters of an answer that a drawn token takes
_LABEL = 60  # characters of an answer that a label takes beside its name
_ENTITY = 100  # characters of an answer that a labelled token takes beside its label
_PART = 100  # characters of an answer that a part of a text takes beside its vector
_TERM = 60  # characters of an answer that an entry of a sparse vector takes
_ALL_TERMS = 1 << 15  # entries of a sparse vector without a limit: about a vocabulary
_NUMBER = 12  # characters of a vector's number and its comma
_SPECIAL = 2  # tokens around a text


def check_fill_mask(
    mask_token: str | None, items: Iterable[FillMaskItem], *, largest: int = MAX_ANSWER, param: str = "top_k"
) -> int:
    """Returns how many characters the answer may have. Raises InvalidValue if they are more than `largest`.

    Each candidate of each mask repeats its text, also where truncation cut what the model reads.

    mask_token: the model's own. param: the name of `top_k` in the request.
    """
    masks = {MASK_ALIAS, mask_token or MASK_ALIAS}
    size = 0
    for item in items:
        found = min(sum(map(item.text.count, masks)), item.max_masks)
        wanted = min(item.top_k, len(item.targets) or item.top_k)
        each = _CANDIDATE + (_TOKENS if item.targets or item.whole_words else 0)
        size += (found * wanted + item.sequences) * (len(item.text) + each)
        size += item.sequences * item.text.count(SPAN_START) * _TOKENS
        found = item.mask.count_tokens(item.text) if item.mask else found
        size += found * item.distribution.samples * _SAMPLE
        size += found * (item.top_k + 1) * _SAMPLE if item.mask else 0
    if size > largest:
        raise InvalidValue(
            f"the answer could have {size} characters, where {largest} are allowed: every candidate of every mask"
            f" repeats its text; lower `{param}`, or send fewer masks or shorter texts",
            param=param,
        )
    return size


class EmbeddingFacts(Protocol):
    """The facts about a model that the size of its vectors depends on. None: unknown, or no such bound."""

    @property
    def max_length(self) -> int | None: ...

    @property
    def dimensions(self) -> int | None: ...

    @property
    def expanded_length(self) -> int: ...


def check_part_vectors(items: Iterable[EmbedItem], model: EmbeddingFacts, *, param: str = "input") -> int:
    """Returns how many characters an answer with a vector for each part of texts may have. Raises InvalidValue.

    param: the name of the field of texts.
    """
    size = sum(estimate_parts(item, model) for item in items)
    if size > MAX_ANSWER:
        raise InvalidValue(
            f"the answer could have {size} characters, where {MAX_ANSWER} are allowed: send fewer or shorter inputs",
            param=param,
        )
    return size


def estimate_parts(item: EmbedItem, model: EmbeddingFacts) -> int:
    """Returns how many characters the vectors of the parts of a text take, at most."""
    parts, text = estimate_tokens(item, model), 0
    if item.output == "chunks":
        given = item.input if isinstance(item.input, str | tuple) else ()
        parts, text = item.chunks.count(len(given) + _SPECIAL, model.max_length), 2 * len(given)
    dimensions = min(filter(None, (item.dimensions, model.dimensions)), default=1)
    return vectors_size(parts * dimensions) + parts * _PART + text


def estimate_tokens(item: EmbedItem, model: EmbeddingFacts) -> int:
    """Returns how many tokens of a text have a vector, at most: a tokenizer makes hardly more than one of a character.

    The model's own prompts are short and are not counted.
    """
    given = item.input if isinstance(item.input, str | tuple) else ()
    tokens = len(given) + len(item.prompt or "") + _SPECIAL
    if item.output == "multi_vector" and item.input_type is InputType.QUERY:
        tokens = max(tokens, model.expanded_length)
    return tokens if model.max_length is None else min(tokens, model.max_length)


def check_sparse(items: Sequence[EmbedItem], *, param: str = "top_k") -> int:
    """Returns how many characters an answer with sparse vectors may have. Raises InvalidValue."""
    size = sum(_TERM * (item.terms or _ALL_TERMS) for item in items)
    if size > MAX_ANSWER:
        raise InvalidValue(
            f"the answer could have {size} characters, where {MAX_ANSWER} are allowed: lower `{param}`, or send fewer"
            " inputs",
            param=param,
        )
    return size


def check_labels(top_ks: Sequence[int], labels: Sequence[str], *, largest: int, param: str = "top_k") -> int:
    """Returns how many characters an answer with the best labels of inputs may have. Raises InvalidValue.

    top_ks: labels of each input's answer. param: the name of `top_k` in the request.
    """
    each = 2 * max(map(len, labels), default=0) + _LABEL  # the name may stand in two fields
    size = each * sum(min(top_k, len(labels)) for top_k in top_ks)
    if size > largest:
        raise InvalidValue(
            f"the answer could have {size} characters, where {largest} are allowed: lower `{param}`, or send fewer"
            " inputs",
            param=param,
        )
    return size


def check_entities(
    items: Iterable[ClassifyItem],
    max_length: int | None,
    labels: Sequence[str],
    *,
    largest: int,
    param: str = "input",
) -> int:
    """Returns how many characters an answer with labels of tokens may have. Raises InvalidValue.

    max_length: tokens that the model reads of a text at once. param: the name of the field of texts.
    """
    tokens = 0
    for item in items:
        characters = len(item.input) if isinstance(item.input, str) else 0
        windows = item.tokens is not None and item.tokens.stride is not None
        tokens += characters if windows or max_length is None else min(characters, max_length)
    size = tokens * (_ENTITY + max(map(len, labels), default=0))
    if size > largest:
        raise InvalidValue(
            f"the answer could have {size} characters, where {largest} are allowed: send fewer or shorter inputs",
            param=param,
        )
    return size


def vectors_size(numbers: int) -> int:
    """Returns the characters that so many numbers of vectors take."""
    return numbers * _NUMBER


def check_tokenize(texts: Sequence[str]) -> None:
    """Raises InvalidValue for more characters than one request may have."""
    size = sum(map(len, texts))
    if size > MAX_TOKENIZED:
        raise InvalidValue(f"`input` has {size} characters in all; one request may have {MAX_TOKENIZED}", param="input")


def check_decode(ids: Sequence[Sequence[int]]) -> None:
    """Raises InvalidValue for more token ids than one request may have."""
    size = sum(map(len, ids))
    if size > MAX_DECODED:
        raise InvalidValue(f"`ids` has {size} token ids in all; one request may have {MAX_DECODED}", param="ids")


class AnswerRoom:
    """The memory for large answers of all requests together. Small answers are not counted."""

    def __init__(self, characters: int = 2 * MAX_ANSWER) -> None:
        self._budget = TokenBudget(characters)

    @asynccontextmanager
    async def hold(self, size: int) -> AsyncIterator[None]:
        """Waits until there is room for an answer of so many characters, and holds it."""
        if size <= SMALL:
            yield
            return
        async with self._budget.hold(size):
            yield
