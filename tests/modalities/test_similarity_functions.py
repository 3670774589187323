"""Functions of vectors against those of sentence-transformers."""

import numpy as np
import pytest
import torch
from sentence_transformers import SimilarityFunction as Theirs

from app.modalities.comparison import compare_all, compare_multi, compare_pairwise
from app.types import SimilarityFunction

RNG = np.random.default_rng(0)
FIRST, SECOND = (RNG.normal(size=(rows, 7)).astype(np.float32) for rows in (3, 5))


MULTIPLE = (SimilarityFunction.MAXSIM, SimilarityFunction.MEAN_MAXSIM)  # functions of lists of vectors


@pytest.mark.parametrize("function", [each for each in SimilarityFunction if each not in MULTIPLE])
def test_functions_are_those_of_sentence_transformers(function: SimilarityFunction) -> None:
    expected = Theirs.to_similarity_fn(function)(torch.tensor(FIRST), torch.tensor(SECOND))
    np.testing.assert_allclose(compare_all(function, FIRST, SECOND), expected, atol=1e-5)
    pairs = Theirs.to_similarity_pairwise_fn(function)(torch.tensor(FIRST), torch.tensor(SECOND[:3]))
    np.testing.assert_allclose(compare_pairwise(function, FIRST, SECOND[:3]), pairs, atol=1e-5)


@pytest.mark.parametrize("function", MULTIPLE)
def test_functions_of_lists_are_those_of_sentence_transformers(function: SimilarityFunction) -> None:
    queries, documents = ([FIRST, SECOND], [SECOND, FIRST, FIRST[:1]])
    theirs = Theirs.to_similarity_fn(function)
    expected = theirs([torch.tensor(each) for each in queries], [torch.tensor(each) for each in documents])
    np.testing.assert_allclose(compare_multi(function, queries, documents), expected, atol=1e-5)
