"""The model card that a published model carries: what it is made of, and how to ask it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from app.jobs.held_out import HeldOutText
from app.jobs.spec import Job, pretraining_spec
from app.modalities.registry import MODALITIES
from app.store.manifest import DataSource, Manifest
from app.types import Task


def render(job: Job, manifest: Manifest, name: str, held_out: Sequence[HeldOutText] = ()) -> str:
    """Returns Markdown. The version is not known yet.

    manifest: as it is given to the store under `name`. held_out: texts for the examples of requests.
    """
    spec = pretraining_spec(job)
    sections = [
        _front_matter(manifest),
        f"# {name}\n\n{manifest.description}",
        _verdict(manifest),
        _table(
            "Model",
            ("", ""),
            [
                ("Architecture", f"{manifest.architecture}, {manifest.modality}"),
                ("Parameters", f"{manifest.parameters:,}"),
                ("Tasks", ", ".join(manifest.tasks)),
                ("Made from", ", ".join(manifest.parents) or f"scratch (preset {spec.model})"),
                ("License", manifest.license or _NO_LICENSE),
            ],
        ),
        _data(manifest.data),
        _table(
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
        _table("Metrics on held-out data", ("metric", "value"), [(k, f"{v:.4g}") for k, v in manifest.metrics.items()]),
        "## Request\n\nThe job's request as it was sent:\n\n" + _fence("json", json.dumps(manifest.request, indent=2)),
        _usage(name, manifest.modality, manifest.tasks, held_out),
        _limitations(MODALITIES[manifest.modality].limitations(manifest.architecture)),
    ]
    return "\n\n".join(s for s in sections if s) + "\n"


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


_NO_LICENSE = "not stated: it follows from the licenses of the data and of the models that this one is made from"


def _front_matter(manifest: Manifest) -> str:
    lines = [f"license: {manifest.license}"] if manifest.license else []
    lines += ["library_name: transformers", "tags:", *(f"  - {task}" for task in manifest.tasks)]
    return "\n".join(["---", *lines, "---"])


def _verdict(manifest: Manifest) -> str:
    """A model that does not beat its baseline carries a warning."""
    if manifest.verdict is None:
        return ""
    warning = "> **Warning:** " if manifest.verdict["learnt"] is False else ""
    return f"## Verdict\n\n{warning}{manifest.verdict['summary']}\n\n{manifest.verdict['advice']}"


def _choices(chosen: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns the rows of a job's choices, without curves."""
    plain = {name: value for name, value in chosen.items() if not isinstance(value, Mapping)}
    return [(name.replace("_", " ").capitalize(), _shown(value)) for name, value in plain.items()]


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _data(sources: Sequence[DataSource]) -> str:
    rows = [(s.filename, f"{s.bytes:,}", f"`{s.sha256}`") for s in sources]
    return _table("Data", ("file", "bytes", "sha256"), rows)


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = [header, ["---"] * len(header), *rows]
    body = "\n".join("| " + " | ".join(_cell(c) for c in line) + " |" for line in lines)
    return f"## {title}\n\n{body}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _usage(name: str, modality: str, tasks: Sequence[Task], held_out: Sequence[HeldOutText]) -> str:
    own = next((item for item in held_out if item.masked != item.text), None)
    known = MODALITIES[modality].examples if own is None else MODALITIES[modality].examples_from(own.text, own.masked)
    examples = [known[task] for task in tasks if task in known]
    calls = ["curl http://127.0.0.1:8000" + example.format(name=name) for example in examples]
    return "## Usage\n\n" + _fence("sh", "\n".join(calls))


def _limitations(sentences: Sequence[str]) -> str:
    return "\n".join(["## Limitations\n", *(f"- {each}" for each in sentences)]) if sentences else ""


def _fence(language: str, text: str) -> str:
    return f"```{language}\n{text}\n```"
