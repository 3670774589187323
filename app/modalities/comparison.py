"""How models compare two inputs: the facts about a model, and functions of vectors. No torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.modalities.embedding import SparseVector
from app.types import Activation, CompareMethod, SimilarityFunction

Floats = NDArray[np.floating[Any]]
Scores = NDArray[np.float64]

_NUMBERS = 1 << 20  # differences of vectors that are in memory at once
_LEAST = 1e-12  # length that a vector is divided by, at least


@dataclass(frozen=True)
class InputComparison:
    """How a model compares two inputs, as its folder says.

    function: of two vectors. activation: converts the output of a cross-encoder to a score.
    """

    method: CompareMethod = CompareMethod.EMBEDDING
    function: SimilarityFunction = SimilarityFunction.COSINE
    activation: Activation = Activation.SIGMOID


def compare_multi(function: SimilarityFunction, first: Sequence[Floats], second: Sequence[Floats]) -> Scores:
    """Compares each of `first` with each of `second`, lists of vectors [N, D], by MaxSim → [S, T].

    As `maxsim` and `mean_maxsim` of sentence-transformers, computed in float64.
    """
    scores = np.empty((len(first), len(second)))
    queries = [each.astype(np.float64) for each in first]
    for column, document in enumerate(second):
        transposed = document.astype(np.float64).T
        for row, query in enumerate(queries):
            scores[row, column] = (query @ transposed).max(axis=1).sum()
    if function is SimilarityFunction.MEAN_MAXSIM:
        scores /= np.array([[len(query)] for query in queries])
    return scores


def compare_all(function: SimilarityFunction, first: Floats, second: Floats) -> Scores:
    """Compares each of `first` [S, D] with each of `second` [T, D] → [S, T], as `similarity` of sentence-transformers.

    Computed in float64.
    """
    return _MATRICES[function](first.astype(np.float64), second.astype(np.float64))


def compare_pairwise(function: SimilarityFunction, first: Floats, second: Floats) -> Scores:
    """Compares vectors [N, D] at the same place → [N], as `similarity_pairwise` of sentence-transformers."""
    pairs = zip(first[:, None], second[:, None], strict=True)
    return np.array([compare_all(function, one, other)[0, 0] for one, other in pairs])


def stack_vectors(vectors: Sequence[Floats | SparseVector]) -> Floats:
    """Returns vectors as rows [N, D]; sparse ones with a column for each entry that any of them has."""
    sparse = [each for each in vectors if isinstance(each, SparseVector)]
    if not sparse:
        return np.stack([each for each in vectors if not isinstance(each, SparseVector)])
    columns = np.unique(np.concatenate([each.indices for each in sparse]))
    rows = np.zeros((len(sparse), len(columns)), np.float32)
    for row, each in zip(rows, sparse, strict=True):
        row[np.searchsorted(columns, each.indices)] = each.weights
    return rows


def unit(vectors: Scores) -> Scores:
    """Scales vectors [..., D] to length 1."""
    scaled: Scores = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), _LEAST)
    return scaled


def _cosine(first: Scores, second: Scores) -> Scores:
    return unit(first) @ unit(second).T


def _dot(first: Scores, second: Scores) -> Scores:
    return first @ second.T


def _euclidean(first: Scores, second: Scores) -> Scores:
    return _by_difference(first, second, lambda difference: -np.sqrt((difference**2).sum(-1)))


def _manhattan(first: Scores, second: Scores) -> Scores:
    return _by_difference(first, second, lambda difference: -np.abs(difference).sum(-1))


def _by_difference(first: Scores, second: Scores, measure: Callable[[Scores], Scores]) -> Scores:
    """Measures the differences [rows, T, D] of a few rows of `first` at a time."""
    step = max(1, _NUMBERS // max(1, second.size))
    rows = (first[start : start + step, None] - second for start in range(0, len(first), step))
    return np.concatenate([measure(each) for each in rows])


_MATRICES: Mapping[SimilarityFunction, Callable[[Scores, Scores], Scores]] = {
    SimilarityFunction.COSINE: _cosine,
    SimilarityFunction.DOT: _dot,
    SimilarityFunction.EUCLIDEAN: _euclidean,
    SimilarityFunction.MANHATTAN: _manhattan,
}
OF_VECTORS: Sequence[SimilarityFunction] = tuple(_MATRICES)
OF_LISTS: Sequence[SimilarityFunction] = (SimilarityFunction.MAXSIM, SimilarityFunction.MEAN_MAXSIM)
