"""The items that each seed trains on and scores. All models and methods share them, so differences are paired."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.datasets.label_checks import EvaluationData
from app.datasets.label_sets import find_strata, find_varied
from app.datasets.labelled import Part
from app.errors import InvalidData

TEST_SHARE = 0.3  # of the items, where the data have no test part
_FEWEST_NUMBERS = 5  # labels that a regression needs at least

# Labels per class; for numbers, labels altogether. "all" are all of the training part.
LabelCount: TypeAlias = int | Literal["all"]
Indices: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """One seed's parts. train: in the order in which labels are drawn."""

    seed: int
    train: Indices
    test: Indices


def make_splits(data: EvaluationData, seeds: int) -> list[Split]:
    """Returns one split a seed. The parts are those of the data, or drawn with `TEST_SHARE` of each class.

    Items with any number of labels are drawn by their rarest label. Raises InvalidData if a seed's test part tells none
    of their labels apart.
    """
    train, test = data.indices(Part.TRAIN), data.indices(Part.TEST)
    splits = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        pool, held_out = (train, test) if len(test) else _draw_parts(data, rng)
        if data.kind == "labels" and not find_varied(data.targets[held_out].astype(np.int64)).any():
            raise InvalidData(
                "there are too few items for scores: each label belongs to all items of a drawn test part or to none"
            )
        splits.append(Split(seed, rng.permutation(pool), held_out))
    return splits


def _draw_parts(data: EvaluationData, rng: np.random.Generator) -> tuple[Indices, Indices]:
    strata = [group for group in _strata(data) if len(group)]
    test = [rng.permutation(group)[: _test_count(len(group))] for group in strata]
    held_out = np.sort(np.concatenate(test))
    return np.setdiff1d(np.arange(len(data.items)), held_out), held_out


def _test_count(items: int) -> int:
    """The test part has at least one item of each class with two, and never its last one."""
    return min(max(1, round(TEST_SHARE * items)), items - 1)


def _strata(data: EvaluationData) -> Iterable[Indices]:
    """Yields the items of each class, or of each rarest label; all of them for numbers."""
    if data.kind != "labels":
        yield from _groups(data, np.arange(len(data.items)))
        return
    strata = find_strata(data.targets.astype(np.int64))
    for stratum in range(len(data.classes) + 1):
        yield np.flatnonzero(strata == stratum)


def _groups(data: EvaluationData, indices: Indices) -> Iterable[Indices]:
    """Yields the indices of each class in their order; all of them for numbers.

    An item with several labels is in several groups. Items without any label are a last group, if there are some.
    """
    if data.kind == "numbers":
        yield indices
        return
    targets = data.targets[indices]
    for code in range(len(data.classes)):
        yield indices[targets == code if data.kind == "classes" else targets[:, code] == 1]
    if data.kind == "labels" and not (labelled := targets.any(1)).all():
        yield indices[~labelled]


def draw_subset(data: EvaluationData, split: Split, count: LabelCount) -> Indices:
    """The first `count` training items of each class, or all that a class has. Subsets of one split are nested."""
    if count == "all":
        return split.train
    subset = np.concatenate([group[:count] for group in _groups(data, split.train)])
    return np.unique(subset) if data.kind == "labels" else subset


def choose_counts(data: EvaluationData, splits: Sequence[Split], wanted: Iterable[LabelCount]) -> list[LabelCount]:
    """Returns the counts in order, without those that no class exceeds: they equal "all".

    Adds warnings about counts that are left out, and about classes that have fewer items.
    """
    sizes = [len(group) for group in _groups(data, splits[0].train)]
    numbers: list[int] = []
    for count in sorted({each for each in wanted if each != "all"}):
        if not data.has_classes and count < _FEWEST_NUMBERS:
            data.warnings.append(f"{count} labels are too few for a regression")
        elif count >= max(sizes):
            data.warnings.append(f"no class has more than {max(sizes)} items of the training part, so {count} is all")
        else:
            numbers.append(count)
    if numbers and min(sizes) < numbers[-1]:
        short = [name for name, size in zip([*data.classes, "no label"], sizes, strict=False) if size < numbers[-1]]
        data.warnings.append(f"classes with fewer than {numbers[-1]} items: {len(short)}, such as {short[0]!r}")
    left_out = {each for each in wanted if each != "all"} - set(numbers)
    if "all" in wanted or not numbers or any(each >= max(sizes) for each in left_out):
        return [*numbers, "all"]
    return list(numbers)


def has_runs(data: EvaluationData, count: LabelCount) -> bool:
    """Whether seeds differ: all labels of a given training part are the same for each."""
    return count != "all" or not len(data.indices(Part.TEST))
