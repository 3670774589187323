"""The mistakes of linear probes as JSON values and as Markdown."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from app.datasets.label_cells import describe_labels
from app.datasets.label_checks import EvaluationData
from app.datasets.sources import shorten
from app.evaluation.markdown import write_table
from app.evaluation.mistakes import Mistake, Mistakes

EXCERPT = 200  # characters of a text
_SHOWN_ITEMS, _SHOWN_CLASSES = 10, 10  # in Markdown


def describe_mistakes(
    data: EvaluationData, mistakes: Mistakes, thumbnails: Mapping[int, str] = MappingProxyType({})
) -> dict[str, Any]:
    """Returns the mistakes as JSON values: items by place, classes by name. thumbnails: by the index of an item."""
    names, confusion = data.classes, mistakes.confusion
    return {
        "model": mistakes.model,
        "method": "linear_probe",
        "labels_per_class": mistakes.labels_per_class,
        "runs": mistakes.runs,
        "wrong_items": mistakes.count,
        "items": [
            _describe_item(data, mistake) | {"thumbnail": thumbnails.get(mistake.item)} for mistake in mistakes.items
        ],
        "confusion": None if confusion is None else {"classes": list(names), "counts": confusion.tolist()},
        "confused_pairs": [
            {"label": names[true], "predicted": names[predicted], "count": count}
            for (true, predicted), count in mistakes.pairs
        ],
    }


def _describe_item(data: EvaluationData, mistake: Mistake) -> dict[str, Any]:
    item = data.items[mistake.item]
    return {
        "place": item.place,
        "text": excerpt_text(item.content),
        "label": item.label,
        "predicted": _name_prediction(data, mistake.predicted),
        "probability": mistake.probability,
        "wrong_runs": mistake.wrong,
        "tested_runs": mistake.tested,
    }


def _name_prediction(data: EvaluationData, predicted: float | tuple[int, ...]) -> str | float:
    if isinstance(predicted, tuple):
        return describe_labels(tuple(data.classes[code] for code in predicted))
    return data.classes[int(predicted)] if data.has_classes else predicted


def excerpt_text(content: str | bytes, most: int = EXCERPT) -> str | None:
    """Returns the beginning of a text in one line; None for the bytes of a file."""
    return shorten(" ".join(content[: 2 * most].split()), most) if isinstance(content, str) else None


def write_mistakes(data: EvaluationData, mistakes: Mistakes) -> str:
    """Returns a section with the confusion matrix, if it is small, and the first mistakes."""
    described = describe_mistakes(data, mistakes)
    sections = [f"## Mistakes of {mistakes.model}"]
    if mistakes.confusion is not None and len(data.classes) <= _SHOWN_CLASSES:
        counts = mistakes.confusion.tolist()
        rows = [[name, *map(str, row)] for name, row in zip(data.classes, counts, strict=True)]
        sections += ["Rows are true classes, columns predicted ones.", write_table(["", *data.classes], rows)]
    if rows := [_write_item(item) for item in described["items"][:_SHOWN_ITEMS]]:
        sections.append(write_table(["item", "text", "label", "predicted", "probability", "wrong runs"], rows))
    return "\n\n".join(sections) if len(sections) > 1 else ""


def _write_item(item: dict[str, Any]) -> list[str]:
    predicted, probability = item["predicted"], item["probability"]
    return [
        item["place"],
        item["text"] or "",
        item["label"],
        predicted if isinstance(predicted, str) else f"{predicted:.4g}",
        "" if probability is None else f"{probability:.2f}",
        f"{item['wrong_runs']} of {item['tested_runs']}",
    ]
