"""The model card that a published model carries: what it is made of, and how to ask it."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.jobs.held_out import HeldOutText
from app.jobs.spec import Job, pretraining_spec
from app.modalities.registry import MODALITIES
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
    write_verdict,
)
from app.store.manifest import Manifest


def render(job: Job, manifest: Manifest, name: str, held_out: Sequence[HeldOutText] = ()) -> str:
    """Returns Markdown. The version is not known yet.

    manifest: as it is given to the store under `name`. held_out: texts for the examples of requests.
    """
    spec = pretraining_spec(job)
    sections = [
        write_front_matter(manifest),
        f"# {name}\n\n{manifest.description}",
        write_verdict(manifest),
        write_table(
            "Model",
            ("", ""),
            [
                ("Architecture", f"{manifest.architecture}, {manifest.modality}"),
                ("Parameters", f"{manifest.parameters:,}"),
                ("Tasks", ", ".join(manifest.tasks)),
                ("Made from", ", ".join(manifest.parents) or f"scratch (preset {spec.model})"),
                ("License", manifest.license or NO_LICENSE),
            ],
        ),
        write_data(manifest.data),
        write_table(
            "Training",
            ("", ""),
            [
                ("Job", job.id),
                ("Method", spec.method),
                ("Steps", f"{job.progress.step:,}"),
                ("Tokens", f"{job.progress.tokens:,}"),
                ("Epochs", f"{job.progress.epoch:g}"),
                *_choices(manifest.chosen),
                *_documents(job),
                *_tokenizer(job),
            ],
        ),
        write_metrics(manifest),
        write_request(manifest),
        write_usage(name, manifest.modality, manifest.tasks, held_out),
        write_limitations(MODALITIES[manifest.modality].limitations(manifest.architecture)),
    ]
    return join_sections(sections)


_ONE_DOCUMENT = {"lines": "a line", "paragraphs": "a paragraph", "rows": "a row", "sequences": "a record"}


def _documents(job: Job) -> list[tuple[str, str]]:
    """Returns the row that says what one document of the text files is."""
    read_as = job.spec.estimate.read_as if job.spec.estimate else {}
    kinds = [
        _ONE_DOCUMENT.get(kind, "a file") + (f" (in {count:,} files)" if len(read_as) > 1 else "")
        for kind, count in read_as.items()
    ]
    return [("One document is", ", ".join(kinds))] if kinds else []


def _tokenizer(job: Job) -> list[tuple[str, str]]:
    """Returns the row of a new tokenizer: its kind, the reason, and what it loses."""
    report = job.spec.estimate and job.spec.estimate.tokenizer
    if not report or report.type == "base":
        return []
    return [("Tokenizer", f"{report.type} ({report.reason}); {report.describe()}")]


def _choices(chosen: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns the rows of a job's choices, without curves."""
    plain = {name: value for name, value in chosen.items() if not isinstance(value, Mapping)}
    return [(name.replace("_", " ").capitalize(), _shown(value)) for name, value in plain.items()]


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
