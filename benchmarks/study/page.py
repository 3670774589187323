"""The page of the study, made of the reports that are there."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.study.session import DONE
from benchmarks.study.tasks import PRETRAININGS, TASKS, StudyTask

Report = Mapping[str, Any]

_COLUMNS = 100
_HEADLINE = 10  # labels per class of the table in short, or the nearest number
_HEADLINE_OF_NUMBERS = 100  # altogether, for a regression
_METHODS = {
    "linear_probe": "linear probe",
    "knn": "nearest neighbours",
    "fine_tune": "fine-tuned",
    "from_scratch": "from scratch",
    "random_encoder": "linear probe, random weights",
}
_INTRODUCTION = """\
# The study of labels

How many labels does a task need if a model has learnt from raw data before?
`make study DATA=...` runs every request of this page against a server of its own and writes the page
again. It needs the data that each section names.

A probe is a linear classifier on the vectors of a frozen model. The baseline needs no model: TF-IDF
of words for texts, counts of one to three letters for sequences, principal components of pixels for
images, log-mel statistics for sounds. Random weights are the same network before any training, so
the distance from them is what pretraining has added. Scores are means over 5 draws of the labels,
unless the request has `seeds`, with 95 % intervals; [evaluation.md](evaluation.md) explains them.

`cloze-text` is not purely self-supervised. It continues all-MiniLM-L6-v2, which was trained on a
billion pairs of sentences. `study-wikipedia` has seen raw text only.
"""


def write_page(results: Path, page: Path) -> None:
    """Writes the page and copies its figures. results: a folder with one of artifacts for each task."""
    found = [(task, _load(results / task.name)) for task in TASKS if (results / task.name / DONE).exists()]
    figures = page.parent / "study"
    sections = [_INTRODUCTION, "## In short\n", _summarize(found)]
    if missing := [task.title for task in TASKS if task not in [each for each, _ in found]]:
        sections.append("Not run yet:\n\n" + "".join(f"- {title}\n" for title in missing))
    sections.append(_describe_models(results))
    for task, report in found:
        sections.append(_describe(task, report, _copy_figure(results / task.name, figures, task.name)))
    page.write_text("\n".join(section for section in sections if section), encoding="utf-8")


def _load(folder: Path) -> dict[str, Any]:
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return {**report, "job": json.loads((folder / DONE).read_text(encoding="utf-8"))}


def _summarize(found: Sequence[tuple[StudyTask, Report]]) -> str:
    rows = []
    for task, report in found:
        count = _choose_count(report)
        for model in report["models"]:
            scores = [
                _score(report, method, None if method == "baseline" else model["id"], count)
                for method in ("linear_probe", "baseline", "random_encoder")
            ]
            rows.append([f"[{task.title}](#{_anchor(task.title)})", str(count), model["id"], *scores])
    head = ["Task", "Labels", "Model", "Probe", "Baseline", "Random weights"]
    return _table(head, rows) + "\n"


def _choose_count(report: Report) -> Any:
    headline = _HEADLINE_OF_NUMBERS if report["data"]["label_kind"] == "numbers" else _HEADLINE
    numbers = [count for count in report["labels_per_class"] if count != "all"]
    return min(numbers, key=lambda count: abs(count - headline))


def _describe_models(results: Path) -> str:
    lines = []
    for each in PRETRAININGS:
        path = results / f"{each.name}.json"
        if path.exists():
            job = json.loads(path.read_text(encoding="utf-8"))
            minutes = (job["finished_at"] - job["started_at"]) / 60
            lines += [_wrap(f"**{each.name}**: {each.about}. {minutes:.0f} minutes."), _request(each.body)]
            lines += [_wrap(job["verdict"]["summary"])] if job.get("verdict") else []
    return "\n".join(["## Models that the study pretrains\n", *lines]) if lines else ""


def _describe(task: StudyTask, report: Report, figure: str | None) -> str:
    job, counts = report["job"], report["labels_per_class"]
    named = dict.fromkeys((r["method"], r["model"]) for r in report["results"] if r["labels_per_class"] in counts)
    name = {**_METHODS, "baseline": f"baseline: {report['baseline']}"}
    rows = [
        [name.get(method, method), model or "", *(_score(report, method, model, count, width=True) for count in counts)]
        for method, model in named
    ]
    clusters = [result for result in report["results"] if result["method"] == "kmeans"]
    sections = [
        f"## {task.title}\n",
        _wrap(f"{task.about[0].upper()}{task.about[1:]}. Computed in {job['finished_at'] - job['started_at']:,.0f} s."),
        _request({"models": list(task.models), **task.request}),
        _wrap(" ".join(report["summary"])),
        f"![{report['metric']} by labels per class]({figure})\n" if figure else "",
        _table(["Method", "Model", *map(str, counts)], rows) + "\n",
        *(
            f"k-means without labels, {each['model']}: accuracy {each['metrics']['accuracy']['mean']:.3f},"
            f" NMI {each['metrics']['nmi']['mean']:.3f}.\n"
            for each in clusters
        ),
    ]
    return "\n".join(section for section in sections if section)


def _score(report: Report, method: str, model: str | None, count: Any, *, width: bool = False) -> str:
    for result in report["results"]:
        if (result["method"], result["model"], result["labels_per_class"]) == (method, model, count):
            found = result["metrics"].get(report["metric"])
            if found is None:
                return ""
            half = f" ± {found['high'] - found['mean']:.3f}" if width and found["high"] is not None else ""
            return f"{found['mean']:.3f}{half}"
    return ""


def _wrap(text: str) -> str:
    return textwrap.fill(text, _COLUMNS, break_long_words=False, break_on_hyphens=False) + "\n"


def _request(body: Mapping[str, Any]) -> str:
    written = json.dumps(body)
    return f"```json\n{written if len(written) <= _COLUMNS else json.dumps(body, indent=2)}\n```\n"


def _copy_figure(source: Path, figures: Path, name: str) -> str | None:
    found = source / "curve.png"
    if not found.exists():
        return None
    figures.mkdir(exist_ok=True)
    (figures / f"{name}.png").write_bytes(found.read_bytes())
    return f"{figures.name}/{name}.png"


def _anchor(title: str) -> str:
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c == "-")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *rows])
