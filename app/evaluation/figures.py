"""Figures of a report as PNG: the label-efficiency curves, and the confusion and the map of each model.

matplotlib takes a second to import, so it is imported when a figure is drawn.
"""

from collections.abc import Iterator
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from app.datasets.label_checks import EvaluationData
from app.datasets.sources import shorten
from app.evaluation.mistakes import Mistakes
from app.evaluation.projection import Projection, choose_points
from app.evaluation.report import name_method
from app.evaluation.results import Findings, Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIZE, _DPI = (8.0, 5.0), 120  # inches, pixels per inch
_COLORS = 9  # labels of a map with a color of their own; of the palette tab10, whose last one is for all others
_NAME = 24  # characters of a class


def draw_figures(findings: Findings) -> Iterator[tuple[str, bytes]]:
    """Yields the name of each figure and its PNG: curve.png, and confusion-1.png and map-1.png of the first model.

    Figures without content are left out, such as the confusion of numbers.
    """
    import matplotlib as mpl

    with mpl.rc_context({"text.parse_math": False}):  # a label may hold a dollar sign
        if any(findings.curve(method, model) for method, model in _find_curves(findings)):
            yield "curve.png", _draw(_plot_curves, findings)
        for place, model in enumerate(findings.models, 1):
            for mistakes in (each for each in findings.mistakes if each.model == model):
                if mistakes.confusion is not None:
                    yield f"confusion-{place}.png", _draw(_plot_confusion, findings.data, mistakes)
            for projection in (each for each in findings.projections if each.model == model):
                yield f"map-{place}.png", _draw(_plot_map, findings.data, projection)


def _draw(plot: Any, *content: Any) -> bytes:
    """Returns the PNG of a figure, which `plot(axes, *content)` fills."""
    from matplotlib.figure import Figure

    figure: Figure = Figure(_SIZE, layout="constrained")
    plot(figure.add_subplot(), *content)
    stream = BytesIO()
    figure.savefig(stream, format="png", dpi=_DPI)
    return stream.getvalue()


def _find_curves(findings: Findings) -> list[tuple[Any, str | None]]:
    """Returns the method and the model of each curve, in the order of their first results."""
    return list(dict.fromkeys((result.method, result.model) for result in findings.results if result.labels))


def _plot_curves(axes: "Axes", findings: Findings) -> None:
    """Scores by labels per class on a logarithmic axis, with the 95 % intervals as bands."""
    ticks: dict[float, str] = {}
    for method, model in _find_curves(findings):
        found = [(result, result.interval(findings.metric)) for result in findings.curve(method, model)]
        known = [(result, interval) for result, interval in found if interval is not None]
        places = [_count_labels(findings, result) for result, _ in known]
        ticks |= {place: str(result.labels_per_class) for place, (result, _) in zip(places, known, strict=True)}
        name = name_method(findings, method) + (f", {model}" if model else "")
        [line] = axes.plot(places, [interval.mean for _, interval in known], marker="o", markersize=4, label=name)
        banded = [(place, each) for place, (_, each) in zip(places, known, strict=True) if each.low is not None]
        bounds = np.array([(each.low, each.high) for _, each in banded], np.float64).reshape(-1, 2).T
        axes.fill_between([place for place, _ in banded], *bounds, color=line.get_color(), alpha=0.13, linewidth=0)
    axes.set_xscale("log")
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.minorticks_off()
    axes.set_xlabel("labels per class" if findings.data.has_classes else "labels")
    axes.set_ylabel(findings.metric)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", frameon=False)


def _count_labels(findings: Findings, result: Result) -> float:
    """The place of a result on the axis. That of all labels is their mean per class."""
    if result.labels_per_class == "all":
        fewer = (count for count in findings.counts if count != "all")  # items may have several labels
        return max([result.labels / max(len(findings.data.classes), 1), *fewer])
    return float(result.labels_per_class)


def _plot_confusion(axes: "Axes", data: EvaluationData, mistakes: Mistakes) -> None:
    """Counts by true class (rows) and predicted class (columns), colored by their share of the row."""
    counts = mistakes.confusion
    assert counts is not None
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.figure.colorbar(image, ax=axes, label="share of the true class")
    names = [shorten(name, _NAME) for name in data.classes]
    few = len(names) <= 12
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize="small" if few else 6)
    axes.set_yticks(range(len(names)), names, fontsize="small" if few else 6)
    if few:
        for (row, column), count in np.ndenumerate(counts):
            color = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, f"{count:,}", ha="center", va="center", fontsize="small", color=color)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(f"Linear probe of {mistakes.model}", fontsize="medium")


def _plot_map(axes: "Axes", data: EvaluationData, projection: Projection) -> None:
    """Two principal components of the vectors, colored by class or by number."""
    import matplotlib as mpl

    drawn = choose_points(len(data.items))
    x, y = projection.points.T
    if data.has_classes:
        names, targets = np.unique([data.items[item].label for item in drawn], return_inverse=True)
        order = np.argsort(-np.bincount(targets), kind="stable")
        colors = mpl.color_sequences["tab10"]
        for place, code in enumerate(order[:_COLORS]):
            chosen = targets == code
            axes.scatter(x[chosen], y[chosen], 8, color=colors[place], label=shorten(str(names[code]), _NAME))
        if len(order) > _COLORS:
            chosen = np.isin(targets, order[_COLORS:])
            axes.scatter(x[chosen], y[chosen], 8, color=colors[_COLORS], alpha=0.4, label="all others")
        axes.legend(fontsize="small", frameon=False, markerscale=2)
    else:
        points = axes.scatter(x, y, 8, c=data.targets[drawn], cmap="viridis")
        axes.figure.colorbar(points, ax=axes, label="label")
    first, second = projection.shares
    axes.set_xlabel(f"first principal component, {first:.1%} of the variance")
    axes.set_ylabel(f"second principal component, {second:.1%}")
    axes.set_title(f"Vectors of {projection.model}", fontsize="medium")
