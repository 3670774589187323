"""Publication of a classifier: a stored model with a head, which shares the model's files."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.jobs.files import FileStore
from app.jobs.spec import Job
from app.modalities.probe import HEAD, ProbeHead
from app.modalities.registry import MODALITIES
from app.publishing.publication import find_sources
from app.publishing.sections import (
    NO_LICENSE,
    join_sections,
    write_data,
    write_front_matter,
    write_limitations,
    write_metrics,
    write_request,
    write_table,
    write_usage,
)
from app.store.manifest import Manifest
from app.store.store import ModelEntry, ModelStore
from app.types import Task


@dataclass(frozen=True)
class ClassifierFacts:
    """The facts about a head that its evaluation has found.

    counts: training items of each label. metrics: on held-out items. chosen: how it was fitted, for the card and the
    manifest. weaknesses: sentences.
    """

    counts: Mapping[str, int]
    metrics: Mapping[str, float]
    chosen: Mapping[str, str | float]
    weaknesses: Sequence[str]


@dataclass(frozen=True)
class ClassifierPublisher:
    """Publishes the heads that evaluations make. files: the uploads that evaluations read."""

    store: ModelStore
    files: FileStore

    def publish(
        self, job: Job, base: ModelEntry, head: ProbeHead, facts: ClassifierFacts, fence: Callable[[], None]
    ) -> ModelEntry:
        """Publishes `base` with a head as the model that the job names, once however often it is called.

        Raises ModelNotFound if `base` was deleted, and InsufficientStorage.
        """
        name = job.spec.published_name
        if name is None:
            raise ValueError(f"job '{job.id}' publishes no model")
        manifest = self._describe(job, base, head, facts)
        with tempfile.TemporaryDirectory(prefix="cloze-head-") as temporary:
            head.save(Path(temporary) / HEAD)
            (Path(temporary) / "README.md").write_text(render(job, manifest, name, facts), encoding="utf-8")
            return self.store.publish(
                Path(temporary), manifest, name=name, fence=fence, base=base, since=job.created_at
            )

    def _describe(self, job: Job, base: ModelEntry, head: ProbeHead, facts: ClassifierFacts) -> Manifest:
        items = head.classifier.labelled_items
        return base.manifest.model_copy(
            update={
                "tasks": tuple(dict.fromkeys((*base.manifest.tasks, Task.CLASSIFY))),
                "description": f"{base.id} with a linear head, trained on {items:,} labelled items.",
                "origin": None,
                "parents": (base.id,),
                "job_id": job.id,
                "owner": job.owner,
                "publication": None,
                "request": {key: value for key, value in job.spec.request.items() if key != "webhook"},
                "data": tuple(find_sources(self.files, job)),
                "metrics": dict(facts.metrics),
                "chosen": dict(facts.chosen),
                "verdict": None,  # that of the evaluation is about few labels, and the head has them all
                "classifier": head.classifier,
            }
        )


def render(job: Job, manifest: Manifest, name: str, facts: ClassifierFacts) -> str:
    """Returns the classifier's card in Markdown. job: the evaluation."""
    classifier = manifest.classifier
    assert classifier is not None
    sections = [
        write_front_matter(manifest),
        f"# {name}\n\n{manifest.description}",
        f"## Evaluation\n\n{job.verdict.summary}" if job.verdict else "",
        write_table(
            "Model",
            ("", ""),
            [
                ("Encoder", ", ".join(manifest.parents)),
                ("Architecture", f"{manifest.architecture}, {manifest.modality}"),
                ("Parameters of the encoder", f"{manifest.parameters:,}"),
                ("Tasks", ", ".join(manifest.tasks)),
                ("License", manifest.license or NO_LICENSE),
            ],
        ),
        write_table("Labels", ("label", "training items"), [(k, f"{v:,}") for k, v in facts.counts.items()]),
        write_table(
            "Training of the head",
            ("", ""),
            [
                ("Evaluation", manifest.job_id or ""),
                ("Type", classifier.type),
                ("Labelled items", f"{classifier.labelled_items:,}"),
                *((key.replace("_", " ").capitalize(), _show(value)) for key, value in facts.chosen.items()),
            ],
        ),
        write_metrics(manifest),
        "\n".join(["## Weaknesses\n", *(f"- {each}" for each in facts.weaknesses)]) if facts.weaknesses else "",
        write_data(manifest.data),
        write_request(manifest),
        write_usage(name, manifest.modality, manifest.tasks, ()),
        write_limitations(MODALITIES[manifest.modality].limitations(manifest.architecture)),
    ]
    return join_sections(sections)


def _show(value: str | float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
