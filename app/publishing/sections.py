"""Sections of model cards in Markdown. Empty sections are empty strings."""

import json
from collections.abc import Iterable, Sequence

from app.jobs.held_out import HeldOutText
from app.modalities.registry import MODALITIES
from app.store.manifest import DataSource, Manifest
from app.types import Task

NO_LICENSE = "not stated: it follows from the licenses of the data and of the models that this one is made from"


def join_sections(sections: Iterable[str]) -> str:
    """Returns a card of sections that are not empty."""
    return "\n\n".join(section for section in sections if section) + "\n"


def write_front_matter(manifest: Manifest) -> str:
    lines = [f"license: {manifest.license}"] if manifest.license else []
    lines += ["library_name: transformers", "tags:", *(f"  - {task}" for task in manifest.tasks)]
    return "\n".join(["---", *lines, "---"])


def write_verdict(manifest: Manifest) -> str:
    """A model that does not beat its baseline carries a warning."""
    if manifest.verdict is None:
        return ""
    warning = "> **Warning:** " if manifest.verdict["learnt"] is False else ""
    return f"## Verdict\n\n{warning}{manifest.verdict['summary']}\n\n{manifest.verdict['advice']}"


def write_data(sources: Sequence[DataSource]) -> str:
    rows = [(s.filename, f"{s.bytes:,}", f"`{s.sha256}`") for s in sources]
    return write_table("Data", ("file", "bytes", "sha256"), rows)


def write_metrics(manifest: Manifest) -> str:
    rows = [(name, f"{value:.4g}") for name, value in manifest.metrics.items()]
    return write_table("Metrics on held-out data", ("metric", "value"), rows)


def write_request(manifest: Manifest) -> str:
    return "## Request\n\nThe job's request as it was sent:\n\n" + write_fence(
        "json", json.dumps(manifest.request, indent=2)
    )


def write_usage(name: str, modality: str, tasks: Sequence[Task], held_out: Sequence[HeldOutText]) -> str:
    own = next((item for item in held_out if item.masked != item.text), None)
    known = MODALITIES[modality].examples if own is None else MODALITIES[modality].examples_from(own.text, own.masked)
    examples = [known[task] for task in tasks if task in known]
    calls = ["curl http://127.0.0.1:8000" + example.format(name=name) for example in examples]
    return "## Usage\n\n" + write_fence("sh", "\n".join(calls))


def write_limitations(sentences: Sequence[str]) -> str:
    return "\n".join(["## Limitations\n", *(f"- {each}" for each in sentences)]) if sentences else ""


def write_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = [header, ["---"] * len(header), *rows]
    body = "\n".join("| " + " | ".join(_cell(c) for c in line) + " |" for line in lines)
    return f"## {title}\n\n{body}"


def write_fence(language: str, text: str) -> str:
    return f"```{language}\n{text}\n```"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
