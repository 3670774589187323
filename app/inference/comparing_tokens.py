"""Inputs compared by the vectors of their tokens: MaxSim, as multi-vector models do."""

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidValue
from app.inference.answer_size import MAX_ANSWER, estimate_parts, estimate_tokens
from app.inference.client import Client
from app.inference.compared import ComparedInputs, ComparedSides, CompareOptions, Scores
from app.inference.service import Answer, OpenModel
from app.modalities.comparison import compare_multi
from app.modalities.embedding import EmbedItem, EmbedResult
from app.types import CompareMethod, InputType, SimilarityFunction, Task

_AT_ONCE = MAX_ANSWER // 2  # size of the vectors of a side that are in memory at once, as characters of an answer
_PRODUCTS = 1 << 36  # products of numbers that a request takes: some seconds

Vectors = Sequence[NDArray[np.float32]]


async def compare_tokens(
    opened: OpenModel, sides: ComparedSides, client: Client, options: CompareOptions, function: SimilarityFunction
) -> ComparedInputs:
    """Compares inputs by MaxSim. The second ones are embedded a part after another, so that few vectors are held.

    Raises InvalidValue for more than the limits allow, and what `OpenModel.run` raises.
    """
    if not opened.reads_text:
        raise InvalidValue("only texts have vectors for MaxSim, and this model embeds media", param="method")
    purposes = (InputType.QUERY, InputType.DOCUMENT) if sides.ranked else (None, None)
    first, second = (
        [options.to_item(given, "multi_vector", purpose) for given in inputs]
        for inputs, purpose in zip((sides.first, sides.others), purposes, strict=True)
    )
    _check(opened, sides, first, second)

    async def embed(inputs: Sequence[Any], purpose: InputType | None) -> Answer[EmbedResult]:
        to_item = partial(options.to_item, output="multi_vector", purpose=purpose)
        return await opened.run(Task.EMBED, inputs, client, to_item=to_item, write=lambda answer: answer)

    with sides.naming():
        answer = await embed(sides.first, purposes[0])
    vectors = [result.vector for result in answer.results]
    tokens = sum(result.tokens for result in answer.results)
    if sides.second is None:
        scores = await asyncio.to_thread(_score, function, vectors, vectors, sides.pairwise)
        return _answer(opened, function, scores, tokens)
    found = []
    for start, stop in _cut(opened, second):
        with sides.naming([(0, place) for place in range(start, stop)]):
            answer = await embed(sides.second[start:stop], purposes[1])
        tokens += sum(result.tokens for result in answer.results)
        queries = vectors[start:stop] if sides.pairwise else vectors
        documents = [result.vector for result in answer.results]
        found.append(await asyncio.to_thread(_score, function, queries, documents, sides.pairwise))
    return _answer(opened, function, np.concatenate(found, axis=-1), tokens)


def _answer(opened: OpenModel, function: SimilarityFunction, scores: Scores, tokens: int) -> ComparedInputs:
    return ComparedInputs(opened.id, CompareMethod.MULTI_VECTOR, function, scores, tokens)


def _score(function: SimilarityFunction, first: Vectors, second: Vectors, pairwise: bool) -> Scores:
    """Returns the scores [S, T], or [N] of inputs at the same place."""
    if not pairwise:
        return compare_multi(function, first, second)
    return np.array([compare_multi(function, [a], [b])[0, 0] for a, b in zip(first, second, strict=True)])


def _check(opened: OpenModel, sides: ComparedSides, first: Sequence[EmbedItem], second: Sequence[EmbedItem]) -> None:
    """Raises InvalidValue where the vectors of the first side are too large, or the products of both are too many."""
    name, other = sides.names
    if sum(estimate_parts(item, opened) for item in first) > _AT_ONCE:
        raise InvalidValue(f"the vectors of `{name}` could be too large: send fewer or shorter inputs", param=name)
    one, two = ([estimate_tokens(item, opened) for item in items] for items in (first, second))
    pairs = sum(a * b for a, b in zip(one, two, strict=True)) if sides.pairwise else sum(one) * sum(two)
    if pairs * (opened.dimensions or 1) > _PRODUCTS:
        raise InvalidValue(
            f"{pairs} pairs of tokens could have to be compared, where {_PRODUCTS // (opened.dimensions or 1)} are"
            " allowed: send fewer or shorter inputs",
            param=name if sides.second is None else other,
        )


def _cut(opened: OpenModel, items: Sequence[EmbedItem]) -> Iterator[tuple[int, int]]:
    """Yields the bounds of parts whose vectors can be in memory at once, of one item at least."""
    start, size = 0, 0
    for place, item in enumerate(items):
        more = estimate_parts(item, opened)
        if place > start and size + more > _AT_ONCE:
            yield start, place
            start, size = place, 0
        size += more
    yield start, len(items)
