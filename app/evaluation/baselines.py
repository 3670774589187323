"""Features that need no model: the plain baseline that a model has to beat."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from app.datasets.labelled import LabelledItem, LabelledItems
from app.errors import InvalidData, TooLarge
from app.evaluation.probes import Features, standardize
from app.evaluation.splits import Indices
from app.modalities.plain_features import PlainFeatures
from app.system.process_pool import ProcessPool

_LOOK = 1_000  # texts that tell whether there are words
_KMER = 3  # letters at most that are counted together
_MOST = 200_000  # features
_AT_ONCE = 64  # files that are decoded before the next are begun

# (indices of the training items, of the test items) → their features
FeatureSource = Callable[[Indices, Indices], tuple[Features, Features]]


@dataclass(frozen=True)
class Baseline:
    """name: as the report shows it. features: of the items of the data."""

    name: str
    features: FeatureSource


def count_baseline(texts: Sequence[str]) -> Baseline:
    """Returns TF-IDF of words, or counts of k-mers for sequences: where most texts have no spaces."""
    looked = texts[:_LOOK]
    words = 2 * sum(" " in text.strip() for text in looked) > len(looked)

    def features(train: Indices, test: Indices) -> tuple[Features, Features]:
        return count_features([texts[i] for i in train], [texts[i] for i in test], words=words)

    return Baseline("TF-IDF" if words else f"counts of 1- to {_KMER}-mers", features)


def media_baseline(plain: PlainFeatures, features: NDArray[np.float32]) -> Baseline:
    """Returns the baseline of media. features: [N, D], in the order of the items."""

    def standardized(train: Indices, test: Indices) -> tuple[Features, Features]:
        known, asked = features[train], features[test]
        if plain.components is not None:
            known, asked = find_components(known, asked, plain.components)
        return standardize(known, asked)

    return Baseline(plain.name, standardized)


def find_components(
    train: NDArray[np.float32], test: NDArray[np.float32], most: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns the principal components of both parts, which are those of the training part."""
    from sklearn.decomposition import PCA

    analysis = PCA(min(most, len(train) - 1, train.shape[1]), random_state=0).fit(train)
    return analysis.transform(train), analysis.transform(test)


def extract_features(
    found: LabelledItems, plain: PlainFeatures, processes: ProcessPool, on_done: Callable[[int], None]
) -> dict[LabelledItem, NDArray[np.float32]]:
    """Returns the features of each media file. Files that cannot be decoded are left out, and named.

    on_done: is told how many files are done; may raise to stop.
    """
    features, usable = dict[LabelledItem, NDArray[np.float32]](), list[LabelledItem]()
    for start in range(0, len(found.items), _AT_ONCE):
        on_done(start)
        piece = found.items[start : start + _AT_ONCE]
        futures: list[Future[NDArray[np.float32]]] = [
            processes.submit(partial(plain.extract, item.content)) for item in piece if isinstance(item.content, bytes)
        ]
        for item, future in zip(piece, futures, strict=True):
            try:
                features[item] = future.result()
            except (InvalidData, TooLarge) as e:
                found.skip(item.place, e.message)
            else:
                usable.append(item)
    found.items = usable
    return features


def count_features(train: Sequence[str], test: Sequence[str], *, words: bool) -> tuple[Features, Features]:
    """Returns sparse features [N, D] of both parts. Vocabulary and weights are those of the training texts."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    if words:
        counter = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), max_features=_MOST)
    else:
        counter = TfidfVectorizer(
            analyzer="char", ngram_range=(1, _KMER), lowercase=False, use_idf=False, max_features=_MOST
        )
    try:
        return counter.fit_transform(train), counter.transform(test)
    except ValueError:  # the vocabulary is empty: the texts are punctuation marks only
        if not words:
            raise
        return count_features(train, test, words=False)
