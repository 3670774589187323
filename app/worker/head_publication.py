"""Publication of the best model of an evaluation as a classifier."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.datasets.label_checks import EvaluationData
from app.datasets.labelled import LabelledItems
from app.evaluation.embedding import Embedder, EmbeddingRequest
from app.evaluation.head_summary import describe_head, describe_weaknesses
from app.evaluation.heads import FittedHead, choose_model, fit_head
from app.evaluation.label_set_heads import fit_label_set_head
from app.evaluation.results import Findings
from app.evaluation.serialization import serialize
from app.evaluation.unreadable import leave_out_unreadable
from app.publishing.classifiers import ClassifierFacts, ClassifierPublisher
from app.store.store import ModelEntry
from app.worker.attempt import Attempt, AttemptServices
from app.worker.reports import Reports

CLASSIFIER = "classifier.json"


@dataclass(frozen=True)
class BestHead:
    """The head of the best model of an evaluation. weaknesses: sentences for the card."""

    encoder: ModelEntry
    fitted: FittedHead
    weaknesses: list[str]


def fit_best(findings: Findings, embedder: Embedder, label: str, on_done: Callable[[int], None]) -> BestHead:
    """Fits a head of the model with the best linear probe. Its vectors are in the cache.

    label: the name of the only output of a regression. Raises what `on_done` raises.
    """
    encoder = embedder.store.resolve(choose_model(findings))
    items = findings.data.items
    request = EmbeddingRequest(encoder, [item.content for item in items], [item.place for item in items])
    vectors, data = embedder.embed(request, on_done), findings.data
    if data.kind == "labels":
        fitted = fit_label_set_head(data, vectors)
    else:
        data, validation = _embed_validation(data, encoder, embedder, on_done)
        fitted = fit_head(data, vectors, label, validation)
    return BestHead(encoder, fitted, describe_weaknesses(fitted, findings, encoder.id))


def _embed_validation(
    data: EvaluationData, encoder: ModelEntry, embedder: Embedder, on_done: Callable[[int], None]
) -> tuple[EvaluationData, NDArray[np.float32] | None]:
    """Returns the data with the items of the validation part that the model can read, and their vectors if any."""
    found = LabelledItems(list(data.validation) if data.kind == "classes" else [])
    if found.items and embedder.decoders is not None:
        leave_out_unreadable(found, [embedder.load_handler(encoder)], embedder.decoders, on_done)
    data = replace(data, validation=found.items)
    if not found.items:
        return data, None
    request = EmbeddingRequest(encoder, [item.content for item in found.items], [item.place for item in found.items])
    return data, embedder.embed(request, on_done)


def publish_best(best: BestHead, attempt: Attempt, reports: Reports, services: AttemptServices) -> ModelEntry:
    """Publishes the head with its encoder, and keeps its facts as an artifact."""
    fitted, held_out = best.fitted, best.fitted.held_out
    described = describe_head(fitted, best.encoder.id, best.weaknesses)
    reports.save_artifact(CLASSIFIER, serialize(described, indent=2))
    reports.flush()
    strength = fitted.strength if isinstance(fitted.strength, float) else "chosen for each label"
    chosen: dict[str, str | float] = {"regularization": strength}
    if fitted.scaled_on:
        chosen |= {"temperature": fitted.head.classifier.temperature, "temperature_fitted_on": fitted.scaled_on}
    if held_out:
        chosen["measured_on"] = f"{held_out.source} ({held_out.items:,} items)"
    facts = ClassifierFacts(fitted.counts, held_out.metrics if held_out else {}, chosen, best.weaknesses)
    job = services.queue.read(attempt.claim)  # with its verdict
    publisher = ClassifierPublisher(services.store, services.files)
    published = publisher.publish(job, best.encoder, fitted.head, facts, reports.fence)
    reports.on_event(f"Published {published.id}, which classifies", {"model": published.id})
    reports.flush()
    return published
