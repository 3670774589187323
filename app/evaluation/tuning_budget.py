"""The budget of fine-tuning: steps, batches and learning rates. It is the same from trained and from random weights."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.evaluation.probes import Targets
from app.evaluation.splits import Indices

BATCH = 16  # items of a step
RATES = (1e-4, 5e-4)  # learning rates that are tried
DEFAULT_RATE = 2e-4  # with too few labels to leave some out
TRIAL_SHARE = 0.5  # of the steps, which each learning rate is tried for
TRAINING_COST = 3  # of an item in a step, where that of a prediction is 1
_LEFT_OUT = 5  # one of so many labels is left out to choose the rate
_FEWEST_OF_A_CLASS = 5  # labels, below which none is left out
_MOST_LEFT_OUT = 500  # labels


@dataclass(frozen=True)
class TuningBudget:
    """The steps of a run by its number of labels: so many epochs, within bounds."""

    epochs: int = 20
    fewest_steps: int = 100
    most_steps: int = 600

    def count_steps(self, labels: int) -> int:
        return min(max(math.ceil(self.epochs * labels / BATCH), self.fewest_steps), self.most_steps)

    def count_trial_steps(self, labels: int) -> int:
        """Returns the steps for which each learning rate is tried."""
        return math.ceil(TRIAL_SHARE * self.count_steps(labels))

    def measure_run(self, targets: Targets, tested: int, *, has_classes: bool) -> float:
        """Returns the work of a run, where the prediction of an item is 1. tested: items that it predicts."""
        batch, labels = min(BATCH, len(targets)), len(targets)
        work = TRAINING_COST * batch * self.count_steps(labels) + tested
        if (left_out := count_left_out(targets, has_classes=has_classes)) > 0:
            fitted = min(BATCH, labels - left_out)
            work += len(RATES) * (TRAINING_COST * fitted * self.count_trial_steps(labels) + left_out)
        return float(work)


def count_left_out(targets: Targets, *, has_classes: bool) -> int:
    """Returns how many labels are left out to choose the learning rate; 0 if there are too few."""
    smallest = int(np.unique(targets, return_counts=True)[1].min()) if has_classes else len(targets)
    return min(len(targets) // _LEFT_OUT, _MOST_LEFT_OUT) if smallest >= _FEWEST_OF_A_CLASS else 0


def order_items(targets: Targets, seed: int, *, has_classes: bool) -> Iterator[int]:
    """Yields indices of items without end, each once an epoch.

    Classes are spread evenly over an epoch, so each batch has about the shares of the whole.
    """
    rng = np.random.default_rng(seed)
    codes = targets if has_classes else np.zeros(len(targets))
    groups = [np.flatnonzero(codes == code) for code in np.unique(codes)]
    while True:
        yield from _spread(groups, rng).tolist()


def _spread(groups: list[Indices], rng: np.random.Generator) -> Indices:
    orders = np.concatenate([rng.permutation(group) for group in groups])
    places = np.concatenate([(np.arange(len(group)) + rng.random()) / len(group) for group in groups])
    return orders[places.argsort(kind="stable")]


def cut_labels(targets: Targets, seed: int, *, has_classes: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Returns the labels to train on and those to leave out, each class in its share. None if there are too few."""
    count = count_left_out(targets, has_classes=has_classes)
    if not count:
        return None
    order = np.fromiter(order_items(targets, seed, has_classes=has_classes), np.int64, len(targets))
    return np.sort(order[count:]), np.sort(order[:count])
