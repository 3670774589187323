"""Items with any number of labels each: which data are such, their targets, and what is wrong with them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.datasets.labelled import LabelledItem, LabelledItems
from app.errors import InvalidData
from app.types import LabelType

MAX_LABELS = 100  # different ones; each needs a probe of its own


def have_label_sets(found: LabelledItems, label_type: LabelType) -> bool:
    """Returns whether items may have several labels. If not, those that have are left out, and named."""
    if label_type == "labels" or (label_type == "auto" and any(item.labels is not None for item in found.items)):
        return True
    for item in found.items:
        if item.labels is not None:
            found.skip(item.place, "expected one label, found a list; set label_type to labels")
    found.items = [item for item in found.items if item.labels is None]
    return False


def encode_label_sets(items: Sequence[LabelledItem]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Returns the different labels in order, and 1 for each label that an item has: [N, C].

    Raises InvalidData for more labels than `MAX_LABELS`, and if no label tells items apart.
    """
    sets = [(item.label,) if item.labels is None else item.labels for item in items]
    names = sorted({label for labels in sets for label in labels})
    if len(names) > MAX_LABELS:
        raise InvalidData(
            f"there are {len(names):,} different labels; the limit is {MAX_LABELS}, as each is learned by itself. Leave"
            " rare ones out, or set label_separator if several are in one cell"
        )
    codes = {name: code for code, name in enumerate(names)}
    targets = np.zeros((len(items), len(names)), np.int64)
    for row, labels in enumerate(sets):
        targets[row, [codes[label] for label in labels]] = 1
    if not find_varied(targets).any():
        raise InvalidData("each label belongs to all items or to none; there is nothing to predict")
    return tuple(names), targets


def find_varied(targets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Returns for each label whether some of the items have it and others do not: [N, C] → [C]."""
    counts = targets.sum(0)
    return np.asarray((counts > 0) & (counts < len(targets)))


def check_label_sets(
    names: Sequence[str], targets: NDArray[np.int64], train: NDArray[np.int64], test: NDArray[np.int64]
) -> dict[str, list[str]]:
    """Returns the labels that cannot be learned or scored, by the words of a warning.

    train, test: the items of each part; none if the parts are drawn. Raises InvalidData if nothing can be learned, or
    no label can be scored.
    """
    if not len(train):
        return _check_drawn(names, targets)
    learned, scored = find_varied(targets[train]), find_varied(targets[test])
    for part, varied in (("training", learned), ("test", scored)):
        if not varied.any():
            raise InvalidData(f"each label belongs to all items of the {part} part or to none")
    if not (learned & scored).any():
        raise InvalidData("no label tells items of the training part apart and also items of the test part")
    return {
        "labels that all items of the training part have, or none, so that no method can learn them": [
            name for name, varied in zip(names, learned, strict=True) if not varied
        ],
        "labels that all items of the test part have, or none, so that they have no AUROC": [
            name for name, varied in zip(names, scored, strict=True) if not varied
        ],
    }


def _check_drawn(names: Sequence[str], targets: NDArray[np.int64]) -> dict[str, list[str]]:
    """Checks labels of items whose parts are drawn. The only item of a stratum is never in the test part."""
    strata = find_strata(targets)
    sizes = np.bincount(strata)
    if sizes.max() < 2:
        raise InvalidData("no label has two items; an evaluation needs at least two of one label")
    if not find_varied(targets[sizes[strata] > 1]).any():
        raise InvalidData(
            "each label belongs to all items that the test part can have, or to none. An evaluation needs at least two"
            " items with a label and two without it"
        )
    rare = [name for name, count in zip(names, targets.sum(0), strict=True) if count == 1]
    return {"labels of one item only, which no method can learn and be scored on": rare}


def find_strata(targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns the rarest label of each item, or the number of labels for an item without any: [N, C] → [N].

    Parts that are drawn from each stratum share the rare labels evenly. It is a simple form of iterative
    stratification (Sechidis et al. 2011, https://doi.org/10.1007/978-3-642-23808-6_10).
    """
    ranks = np.argsort(targets.sum(0), kind="stable")  # from the rarest on
    ordered = targets[:, ranks]
    return np.asarray(np.where(targets.any(1), ranks[ordered.argmax(1)], targets.shape[1]))
