"""Labelled data as an evaluation uses them: targets instead of labels, without duplicates, and with warnings."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from app.datasets.label_cells import MAX_NUMBER
from app.datasets.label_sets import check_label_sets, encode_label_sets, have_label_sets
from app.datasets.labelled import LabelledItem, LabelledItems, Part, SkippedRow
from app.errors import InvalidData
from app.types import LabelKind, LabelType

MAX_CLASSES = 1000
MANY_VALUES = 20  # numbers with more different values than these are no classes
_SHOWN = 3  # places or classes that a warning names


@dataclass(frozen=True)
class EvaluationData:
    """Items with targets.

    targets: the index of each item's class [N, int64], or its number [N, float64]; for items with any number of labels,
    1 for each label that the item has [N, C, int64].
    classes: the labels in order; empty for numbers.
    duplicates: the place of an item that was dropped, and of the one that it repeats.
    validation: items that are in no other part, which calibrate a classifier.
    """

    items: Sequence[LabelledItem]
    targets: NDArray[np.int64] | NDArray[np.float64]
    classes: tuple[str, ...]
    skipped: Sequence[SkippedRow] = ()
    skipped_count: int = 0
    unused: int = 0
    duplicates: Sequence[tuple[str, str]] = ()
    warnings: list[str] = field(default_factory=list)
    validation: Sequence[LabelledItem] = ()

    @property
    def kind(self) -> LabelKind:
        if not self.classes:
            return "numbers"
        return "classes" if self.targets.ndim == 1 else "labels"

    @property
    def has_classes(self) -> bool:
        """Whether there are classes: one for each item, or any number of them."""
        return bool(self.classes)

    @property
    def class_counts(self) -> NDArray[np.int64]:
        """The items of each class, [C]; none for numbers."""
        if self.kind == "labels":
            return np.asarray(self.targets.sum(0), np.int64)
        codes = self.targets.astype(np.int64) if self.has_classes else np.zeros(0, np.int64)
        return np.bincount(codes, minlength=len(self.classes))

    def indices(self, part: Part) -> NDArray[np.int64]:
        """The indices of the items of a part."""
        return np.flatnonzero([item.part is part for item in self.items])


def check_labels(found: LabelledItems, label_type: LabelType = "auto") -> EvaluationData:
    """Makes targets of labels, and drops duplicates that would tell labels of test items.

    Raises InvalidData where no evaluation is possible, such as for one class only.
    """
    are_sets = have_label_sets(found, label_type)
    numbers, not_numbers = (None, []) if are_sets else _parse_numbers(found, label_type)
    labels = [item.label for item in found.items]
    kept, duplicates, warnings = _drop_duplicates(found.items)
    if not_numbers:
        warnings.append(_warn_of_words(not_numbers))
    items = [found.items[index] for index in kept]
    found.check()
    if numbers is not None:
        targets: NDArray[np.int64] | NDArray[np.float64] = np.array([numbers[index] for index in kept])
        classes: tuple[str, ...] = ()
    elif are_sets:
        classes, targets = encode_label_sets(items)
    else:
        classes, targets = _encode([labels[index] for index in kept])
    data = EvaluationData(
        items, targets, classes, found.skipped, found.skipped_count, found.unused, duplicates, warnings
    )
    if found.validation:
        known = {_digest(item.content) for item in items}
        data = replace(data, validation=[each for each in found.validation if _digest(each.content) not in known])
    _check_parts(data)
    if data.kind == "labels":
        found_rare = check_label_sets(
            classes, targets.astype(np.int64), data.indices(Part.TRAIN), data.indices(Part.TEST)
        )
        data.warnings.extend(f"{words}: {_join(names)}" for words, names in found_rare.items() if names)
    elif classes:
        _check_classes(data)
    elif len(np.unique(targets)) < 2:
        raise InvalidData(f"every label is {targets[0]:g}; there is nothing to predict")
    return data


def _parse_numbers(found: LabelledItems, label_type: LabelType) -> tuple[list[float] | None, list[LabelledItem]]:
    """Returns the labels as numbers, or None for classes, and the items whose labels are no numbers.

    These items are left out. In `auto`, labels are numbers if most of them are, with more than `MANY_VALUES` values.
    """
    values = [_to_number(item.label) for item in found.items]
    numbers = [value for value in values if value is not None]
    are_numbers = 2 * len(numbers) > len(values) and len(set(numbers)) > MANY_VALUES
    if label_type == "classes" or (label_type == "auto" and not are_numbers):
        return None, []
    others = [item for item, value in zip(found.items, values, strict=True) if value is None]
    for item in others:
        found.skip(item.place, f"the label {item.label!r} is not a number from {-MAX_NUMBER:g} to {MAX_NUMBER:g}")
    found.items = [item for item, value in zip(found.items, values, strict=True) if value is not None]
    return numbers, others


def _warn_of_words(items: Sequence[LabelledItem]) -> str:
    named = _join(f"{item.place} ({item.label})" for item in items)
    return (
        f"{len(items):,} items were left out, because their labels are no numbers and the other labels are; set"
        f" label_type to classes if all are classes: {named}"
    )


def _to_number(label: str) -> float | None:
    if "_" in label:  # float() ignores it
        return None
    try:
        value = float(label)
    except ValueError:
        return None
    return value if abs(value) <= MAX_NUMBER else None  # not NaN either


def _encode(labels: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    names, codes = np.unique(np.array(labels, dtype=object).astype(str), return_inverse=True)
    if len(names) < 2:
        raise InvalidData(f"every label is {labels[0]!r}; an evaluation needs at least two classes")
    if len(names) > MAX_CLASSES:
        raise InvalidData(
            f"the labels have {len(names):,} different values; the limit is {MAX_CLASSES:,} classes. Set label_column"
            " to the column of the classes, or label_type to numbers"
        )
    return tuple(map(str, names)), codes.astype(np.int64)


def _drop_duplicates(items: Sequence[LabelledItem]) -> tuple[list[int], list[tuple[str, str]], list[str]]:
    """Returns the indices of the items that are kept, the duplicates, and warnings.

    An item of the training part is dropped if the test part has its content; where the parts are drawn, all but the
    first item of a content are. Runs of spaces in texts count as one. Case counts: in SMILES, it tells atoms apart.
    """
    keys = [_digest(item.content) for item in items]
    tested: dict[bytes, int] = {}
    drawn: dict[bytes, int] = {}
    for index, (key, item) in enumerate(zip(keys, items, strict=True)):
        if item.part is Part.TEST:
            tested.setdefault(key, index)
        elif item.part is Part.EITHER:
            drawn.setdefault(key, index)
    kept, duplicates = [], []
    for index, (key, item) in enumerate(zip(keys, items, strict=True)):
        first = {Part.TRAIN: tested, Part.EITHER: drawn}.get(item.part, {}).get(key, index)
        if first == index:
            kept.append(index)
        else:
            duplicates.append((item.place, items[first].place))
    warnings = [_warn_of_duplicates(duplicates)] if duplicates else []
    return kept, duplicates, warnings + _find_contradictions(items, keys)


def _digest(content: str | bytes) -> bytes:
    if isinstance(content, str):
        content = " ".join(content.split()).encode()
    return hashlib.blake2b(content, digest_size=16).digest()


def _warn_of_duplicates(duplicates: Sequence[tuple[str, str]]) -> str:
    named = _join(f"{place} repeats {other}" for place, other in duplicates[:_SHOWN])
    return f"{len(duplicates):,} items were dropped, because others have the same content: {named}"


def _find_contradictions(items: Sequence[LabelledItem], keys: Sequence[bytes]) -> list[str]:
    first: dict[bytes, int] = {}
    found = []
    for index, key in enumerate(keys):
        other = first.setdefault(key, index)
        if items[other].label != items[index].label:
            found.append(f"{items[index].place} ({items[index].label}) and {items[other].place} ({items[other].label})")
    if not found:
        return []
    return [f"{len(found):,} items have the content of another item, but a different label: {_join(found)}"]


def _check_parts(data: EvaluationData) -> None:
    train, test = len(data.indices(Part.TRAIN)), len(data.indices(Part.TEST))
    if (train or test) and not (train and test):
        missing = "test" if train else "training"
        raise InvalidData(
            f"there are no items of the {missing} part. Parts are drawn if no column, no folder and no validation_file"
            " names them"
        )
    if len(data.items) < 4:
        raise InvalidData(f"there are {len(data.items)} items; an evaluation needs at least 4")


def _check_classes(data: EvaluationData) -> None:
    """Raises InvalidData if the training part has one class, and warns of classes that one part lacks."""
    train = Counter(data.targets[data.indices(Part.TRAIN)].tolist())
    test = Counter(data.targets[data.indices(Part.TEST)].tolist())
    if not train:
        rare = [name for code, name in enumerate(data.classes) if np.count_nonzero(data.targets == code) == 1]
        if rare:
            data.warnings.append(f"classes with one item, which is never in the test part: {_join(rare)}")
        if len(rare) == len(data.classes):
            raise InvalidData("every class has one item; an evaluation needs at least two of each")
        return
    if len(train) < 2:
        raise InvalidData(f"the training part has one class only, {data.classes[min(train)]!r}")
    if unseen := [name for code, name in enumerate(data.classes) if code not in train]:
        data.warnings.append(f"classes without items of the training part, which no method can learn: {_join(unseen)}")
    if untested := [name for code, name in enumerate(data.classes) if code not in test]:
        data.warnings.append(f"classes without items of the test part: {_join(untested)}")


def _join(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _SHOWN:,} more" if len(listed) > _SHOWN else ""
    return "; ".join(listed[:_SHOWN]) + more
