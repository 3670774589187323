"""The use cases that compare inputs: similarity of two lists, and documents in the order of their relevance."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from app.errors import InvalidValue, TooLarge
from app.inference.answer_size import MAX_ANSWER, SMALL
from app.inference.client import Client
from app.inference.compared import ComparedInputs, ComparedSides, CompareOptions, DocumentRanking
from app.inference.comparing_tokens import compare_tokens
from app.inference.service import Answer, OpenModel
from app.modalities.classification import ClassifyItem, ClassifyResult, TextPair, score_labels
from app.modalities.comparison import OF_LISTS, OF_VECTORS, compare_all, compare_pairwise, stack_vectors
from app.modalities.embedding import EmbedItem, EmbedResult
from app.types import Activation, ClassifierType, CompareMethod, InputType, SimilarityFunction, Task

_SCORE = 25  # characters of an answer that a score takes
_SPARSE_INPUTS = 256  # whose sparse vectors are compared at once

_FUNCTIONS = {CompareMethod.SPARSE: SimilarityFunction.DOT, CompareMethod.MULTI_VECTOR: SimilarityFunction.MAXSIM}

Written = TypeVar("Written")


@dataclass(frozen=True)
class _TypedText:
    """An input with its purpose, which chooses the prompt that goes before it."""

    text: Any
    input_type: InputType | None


async def compare_inputs(
    opened: OpenModel, sides: ComparedSides, client: Client, options: CompareOptions, write: Callable[[Any], Written]
) -> Written:
    """Returns what `write` makes of the `ComparedInputs`.

    Raises InvalidValue for a method that the model lacks, for more than the limits allow and for lists that do not
    fit together, and what `OpenModel.run` raises; `param` and `index` name the input in `sides`.
    """
    if sides.pairwise and len(sides.first) != len(sides.others):
        raise InvalidValue(
            f"`{sides.names[0]}` holds {len(sides.first)} inputs and `{sides.names[1]}` {len(sides.others)}; they are"
            " compared pairwise, so both hold the same number",
            param=sides.names[1],
        )
    numbers = len(sides.first) * (1 if sides.pairwise else len(sides.others))
    if numbers * _SCORE > MAX_ANSWER:
        raise TooLarge(f"the answer would have {numbers} scores; send fewer inputs", param=sides.names[1])
    compared = await _compare(opened, sides, client, options)
    async with opened.hold_room(numbers * _SCORE):
        if numbers * _SCORE <= SMALL:
            return write(compared)
        return await asyncio.to_thread(write, compared)


async def rank_documents(
    opened: OpenModel,
    query: str,
    documents: Sequence[str],
    client: Client,
    options: CompareOptions,
    *,
    top_n: int | None = None,
    names: tuple[str, str] = ("query", "documents"),
) -> DocumentRanking:
    """Returns the `top_n` documents that answer the query best; all by default.

    names: of the fields in the request. Raises what `compare_inputs` raises.
    """
    sides = ComparedSides((query,), documents, ranked=True, names=names)
    compared = await _compare(opened, sides, client, options)
    scores = compared.scores[0]
    order = np.argsort(-scores, kind="stable")[:top_n]
    found = [(int(index), float(scores[index])) for index in order]
    return DocumentRanking(compared.model, compared.method, found, compared.tokens)


async def _compare(opened: OpenModel, sides: ComparedSides, client: Client, options: CompareOptions) -> ComparedInputs:
    method = options.method or opened.comparison.method
    if method is CompareMethod.CROSS_ENCODER:
        return await _cross_encode(opened, sides, client, options)
    function = options.function or _choose_function(opened, method)
    known = OF_LISTS if method is CompareMethod.MULTI_VECTOR else OF_VECTORS
    if function not in known:
        raise InvalidValue(f"vectors of the method {method} are compared by {', '.join(known)}", param="function")
    _check_count(opened, sides, len(sides.first) + len(sides.second or ()), "inputs")
    if method is CompareMethod.MULTI_VECTOR:
        return await compare_tokens(opened, sides, client, options, function)
    return await _embed(opened, sides, client, options, method, function)


def _choose_function(opened: OpenModel, method: CompareMethod) -> SimilarityFunction:
    """Returns the function that a model was trained for, where vectors of that kind are compared."""
    if method is opened.comparison.method:
        return opened.comparison.function
    return _FUNCTIONS.get(method, SimilarityFunction.COSINE)


def _check_count(opened: OpenModel, sides: ComparedSides, count: int, of: str) -> None:
    if count > opened.limits.inputs:
        first, second = sides.names
        raise InvalidValue(
            f"`{first}` and `{second}` make {count} {of}; one request may have {opened.limits.inputs}",
            param=second if sides.second is not None else first,
        )


async def _embed(
    opened: OpenModel,
    sides: ComparedSides,
    client: Client,
    options: CompareOptions,
    method: CompareMethod,
    function: SimilarityFunction,
) -> ComparedInputs:
    """Compares a vector of each input, dense or sparse."""
    sparse = method is CompareMethod.SPARSE
    inputs: list[Any] = [*sides.first, *(sides.second or ())]
    if sides.ranked:
        queries, documents = sides.first, sides.others
        inputs = [_TypedText(text, InputType.QUERY) for text in queries]
        inputs += [_TypedText(text, InputType.DOCUMENT) for text in documents]

    def to_item(given: Any) -> EmbedItem:
        typed = given if isinstance(given, _TypedText) else _TypedText(given, None)
        return options.to_item(typed.text, "sparse" if sparse else "pooled", typed.input_type)

    def write(answer: Answer[EmbedResult]) -> ComparedInputs:
        found = [result.sparse or result.vector for result in answer.results]
        vectors = stack_vectors(found)
        first = vectors[: len(sides.first)]
        second = first if sides.second is None else vectors[len(sides.first) :]
        scores = (compare_pairwise if sides.pairwise else compare_all)(function, first, second)
        tokens = sum(result.tokens for result in answer.results)
        return ComparedInputs(answer.model, method, function, scores, tokens)

    if sparse and len(inputs) > _SPARSE_INPUTS:
        raise InvalidValue(
            f"sparse vectors of at most {_SPARSE_INPUTS} inputs are compared at once, not of {len(inputs)}",
            param=sides.names[1 if sides.second is not None else 0],
        )
    with sides.naming():
        return await opened.run(Task.EMBED, inputs, client, to_item=to_item, write=write)


async def _cross_encode(
    opened: OpenModel, sides: ComparedSides, client: Client, options: CompareOptions
) -> ComparedInputs:
    """Scores each pair by a classifier that reads both texts."""
    _check_cross_encoder(opened, sides, options)
    places = sides.pairs()
    _check_count(opened, sides, len(places), "pairs")
    activation = Activation.NONE if options.raw_scores else opened.comparison.activation

    def to_item(pair: TextPair) -> ClassifyItem:
        return ClassifyItem(
            pair, top_k=1, truncate=options.truncate is not False, truncation_side=options.truncation_side
        )

    def write(answer: Answer[ClassifyResult]) -> ComparedInputs:
        found = [score_labels(result.classifier, result.logits, activation)[0] for result in answer.results]
        scores = np.array(found) if sides.pairwise else np.reshape(found, (len(sides.first), -1))
        tokens = sum(result.tokens for result in answer.results)
        return ComparedInputs(answer.model, CompareMethod.CROSS_ENCODER, None, scores, tokens)

    with sides.naming(places):
        pairs = [_pair(sides, one, other) for one, other in places]
        return await opened.run(Task.CLASSIFY, pairs, client, to_item=to_item, write=write)


def _check_cross_encoder(opened: OpenModel, sides: ComparedSides, options: CompareOptions) -> None:
    classifier = opened.classifier
    if classifier is None or len(classifier.labels) > 1 or classifier.type is ClassifierType.TOKENS:
        raise InvalidValue(
            f"{opened.id} is no cross-encoder, which is a classifier of pairs of texts with one output", param="method"
        )
    if options.function is not None:
        raise InvalidValue("a cross-encoder makes no vectors that a function compares", param="function")


def _pair(sides: ComparedSides, one: int, other: int) -> TextPair:
    for side, inputs, place in zip(sides.names, (sides.first, sides.others), (one, other), strict=True):
        if not isinstance(inputs[place], str):
            raise InvalidValue("a cross-encoder reads pairs of texts", param=side)
    return TextPair(str(sides.first[one]), str(sides.others[other]))
