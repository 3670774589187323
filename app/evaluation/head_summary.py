"""A fitted head in words and as JSON values: what it was measured on, and where it is weak."""

from collections.abc import Iterable, Sequence
from typing import Any

from app.evaluation.heads import FittedHead, HeldOut
from app.evaluation.results import Findings, compare

_FEW = 10  # training items of a label below which it is named
_SMALL = 100  # held-out items below which scores are rough
_LISTED = 10  # labels that a sentence names


def describe_weaknesses(fitted: FittedHead, findings: Findings, model: str) -> list[str]:
    """Returns sentences about what the classifier does badly, and about what is not known of it."""
    return [
        *_compare(findings, model),
        *_describe_few(fitted.counts),
        *_describe_held_out(fitted.held_out),
    ]


def _compare(findings: Findings, model: str) -> Iterable[str]:
    """Yields sentences about the baseline and random weights, where the model does not beat them."""
    count = findings.counts[-1]
    probe = findings.find("linear_probe", model, count)
    baseline, random = findings.find("baseline", None, count), findings.find("random_encoder", model, count)
    for other, name in ((baseline, f"{findings.baseline} without a model"), (random, "the same network, untrained,")):
        comparison = compare(probe, other, findings.metric) if probe and other else None
        if comparison is not None and not comparison.is_better:
            word = "worse than" if comparison.is_worse else "not clearly better than"
            yield f"With the most labels, the classifier is {word} {name}: {comparison.difference.mean:+.3f}."


def _describe_few(counts: dict[str, int]) -> Iterable[str]:
    few = [f"{label} ({count})" for label, count in counts.items() if count < _FEW]
    if few:
        yield f"Labels with fewer than {_FEW} training items: {_list(few)}."


def _describe_held_out(held_out: HeldOut | None) -> Iterable[str]:
    if held_out is None:
        yield "Each label has one training item, so nothing was measured and the probabilities are not calibrated."
        return
    if held_out.items < _SMALL:
        yield f"The scores are rough: they are those of {held_out.items} held-out items."
    for label, found, items in held_out.weakest:
        yield f"It recognizes {found} of {items} held-out items of {label!r}."
    for true, predicted, items in held_out.confusions[:1]:
        yield f"The most frequent mistake is {predicted!r} instead of {true!r}: {items} of {held_out.items} items."


def describe_head(fitted: FittedHead, encoder: str, weaknesses: Sequence[str]) -> dict[str, Any]:
    """Returns the facts about a head as JSON values. encoder: the model that it reads, as name@version."""
    held_out = fitted.held_out
    return {
        "object": "evaluation.classifier",
        "encoder": encoder,
        "classifier": fitted.head.classifier.model_dump(mode="json"),
        "training_items": fitted.counts,
        "regularization": fitted.strength,
        "temperature_fitted_on": fitted.scaled_on,
        "held_out": held_out
        and {
            "source": held_out.source,
            "items": held_out.items,
            "metrics": held_out.metrics,
            "ece_without_temperature": held_out.ece_before,
            "confusions": [{"label": a, "predicted": b, "items": count} for a, b, count in held_out.confusions],
            "weakest": [{"label": label, "recognized": n, "items": total} for label, n, total in held_out.weakest],
        },
        "weaknesses": list(weaknesses),
    }


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
