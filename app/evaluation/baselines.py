"""Features that need no model: the plain baseline that a model has to beat."""

from collections.abc import Sequence
from typing import NamedTuple

from app.evaluation.probes import Features

_LOOK = 1_000  # texts that tell whether there are words
_KMER = 3  # letters at most that are counted together
_MOST = 200_000  # features


class Baseline(NamedTuple):
    """name: as the report shows it. words: whether texts consist of words, as opposed to letters of a sequence."""

    name: str
    words: bool


def choose_baseline(texts: Sequence[str]) -> Baseline:
    """Returns TF-IDF of words, or counts of k-mers for sequences: texts without spaces."""
    if any(" " in text.strip() for text in texts[:_LOOK]):
        return Baseline("TF-IDF", words=True)
    return Baseline(f"counts of 1- to {_KMER}-mers", words=False)


def count_features(baseline: Baseline, train: Sequence[str], test: Sequence[str]) -> tuple[Features, Features]:
    """Returns sparse features [N, D] of both parts. Vocabulary and weights are those of the training texts."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    if baseline.words:
        counter = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), max_features=_MOST)
    else:
        counter = TfidfVectorizer(
            analyzer="char", ngram_range=(1, _KMER), lowercase=False, use_idf=False, max_features=_MOST
        )
    try:
        return counter.fit_transform(train), counter.transform(test)
    except ValueError:  # texts of signs alone have no words
        return count_features(Baseline(baseline.name, words=False), train, test)
