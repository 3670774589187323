"""One evaluation of text models without training labels: the figures of each model, and their differences."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.datasets.text_rows import TextRows
from app.errors import InvalidData
from app.evaluation.embedding import Embedder
from app.evaluation.metrics import Interval
from app.evaluation.resampling import Resampled, Rows, Statistic, resample
from app.evaluation.text_methods import TEXT_FIGURES
from app.store.store import ModelEntry
from app.types import TextMethod


@dataclass(frozen=True)
class GroupFigure:
    """The figure of the rows of one group."""

    group: str
    rows: int
    value: float


@dataclass(frozen=True)
class TextResult:
    """The figures of one model. rows: that it has read. groups: by name, of the figure that is compared."""

    model: str
    rows: int
    figures: dict[str, Interval]
    groups: Sequence[GroupFigure] = ()


@dataclass(frozen=True)
class TextDifference:
    """The figure of `first` minus that of `second`, of the rows that both models have read."""

    first: str
    second: str
    difference: Interval


@dataclass
class TextFindings:
    """All that an evaluation has found so far. models: all that it measures."""

    method: TextMethod
    data: TextRows
    models: Sequence[str]
    results: list[TextResult] = field(default_factory=list)
    differences: list[TextDifference] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def metric(self) -> str:
        return TEXT_FIGURES[self.method].metric


class TextHooks(Protocol):
    """The interface between an evaluation of texts and its caller. `on_step` and `on_share` may raise to stop."""

    def on_step(self, message: str) -> None:
        """Reports that a part of the work begins."""
        ...

    def on_share(self, share: float) -> None:
        """Reports the share of the work that is done, in [0, 1]."""
        ...

    def on_figures(self, findings: TextFindings) -> None:
        """Reports that there is a further result."""
        ...


def evaluate_texts(
    method: TextMethod, data: TextRows, models: Sequence[ModelEntry], embedder: Embedder, hooks: TextHooks
) -> TextFindings:
    """Measures each model on the rows, and compares each two on the rows that both have read.

    Raises InvalidData if a model reads fewer than two rows, TaskNotSupported, and what the hooks raise.
    """
    figures = TEXT_FIGURES[method]
    used = figures.select(data.rows)
    findings = TextFindings(method, replace(data, rows=used), [model.id for model in models])
    if len(used) < len(data.rows):
        findings.warnings.append(f"{len(used):,} of {len(data.rows):,} texts were drawn, always the same ones")
    measured = []
    for place, model in enumerate(models):
        hooks.on_step(f"Reading {len(used):,} rows with {model.id}")

        def report(share: float, begun: int = place) -> None:
            hooks.on_share((begun + share) / len(models))

        values = figures.compute(embedder, model, used, report)
        measured.append(_measure(findings, model.id, values, partial(report, 1.0)))
        hooks.on_figures(findings)
    for first, second in combinations(measured, 2):
        both = first.known & second.known
        if both.sum() > 1:
            one, other = (each.resample(both, partial(hooks.on_share, 1.0)) for each in (first, second))
            findings.differences.append(TextDifference(first.model, second.model, (one - other).interval))
    return findings


@dataclass(frozen=True)
class _Measured:
    """A model with the numbers of the rows, and the figure that is compared.

    values: [N, C], NaN for rows that the model cannot read. known: whether it can read each row, [N]. resampled: the
    figure of the rows that it can read.
    """

    model: str
    values: Rows
    known: NDArray[np.bool_]
    statistic: Statistic
    resampled: Resampled

    def resample(self, chosen: NDArray[np.bool_], check: Callable[[], None]) -> Resampled:
        """Returns the figure of some of the rows that the model can read. It is known already for all of them."""
        if np.array_equal(chosen, self.known):
            return self.resampled
        return resample(self.values[chosen], self.statistic, check)


def _measure(findings: TextFindings, model: str, values: Rows, check: Callable[[], None]) -> _Measured:
    """Adds the figures of a model, and warns of rows that it cannot read.

    values: [N, C], NaN for these rows. check: may raise to stop.
    """
    figures = TEXT_FIGURES[findings.method]
    known = _is_known(values)
    if unread := [row.place for row, read in zip(findings.data.rows, known, strict=True) if not read]:
        findings.warnings.append(f"{model} cannot read {len(unread):,} rows, such as that of {unread[0]}")
    if known.sum() < 2:
        raise InvalidData(f"{model} can read {known.sum()} rows; at least 2 are needed")
    found = {name: resample(values[known], statistic, check) for name, statistic in figures.statistics.items()}
    groups = np.array([row.group for row in findings.data.rows], dtype=object)
    groups_found = _measure_groups(findings, values[known], groups[known])
    intervals = {name: each.interval for name, each in found.items()}
    findings.results.append(TextResult(model, int(known.sum()), intervals, groups_found))
    return _Measured(model, values, known, figures.statistics[figures.metric], found[figures.metric])


def _is_known(values: Rows) -> NDArray[np.bool_]:
    """Whether the model can read each row, [N]."""
    return np.asarray(np.isfinite(values).all(axis=1))


def _measure_groups(findings: TextFindings, values: Rows, groups: NDArray[np.object_]) -> list[GroupFigure]:
    figures = TEXT_FIGURES[findings.method]
    statistic = figures.statistics[figures.metric]
    places = defaultdict[str, list[int]](list)
    for place, name in enumerate(groups):
        places[name].append(place)
    return [GroupFigure(name, len(rows), statistic(values[rows])) for name, rows in sorted(places.items()) if name]
