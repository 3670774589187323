"""`cloze evaluate`: uploads a labelled table, evaluates models on it, and prints the report."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from app.commands.client import ApiClient, ApiKey, Url
from app.commands.output import Json, note, print_json
from app.commands.uploads import Uploads
from app.commands.watch import DETACHED, follow
from app.errors import AppError, InvalidValue

EVALUATIONS = "/v1/evaluations"

LabelledFile = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="Table of texts with labels (.csv, .jsonl, .parquet, .fasta, …) or archive of media.",
    ),
]
Models = Annotated[
    list[str] | None, typer.Option("--model", "-m", help="A stored model; may be repeated. By default cloze-text.")
]
Methods = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        help="linear_probe, knn, kmeans, random_encoder, baseline (all by default), fine_tune or from_scratch."
        " Without training labels: sts, minimal_pairs or masked_accuracy.",
    ),
]
Labels = Annotated[
    str | None, typer.Option("--labels-per-class", metavar="1,10,all", help="Numbers of training labels.")
]


def evaluate(
    file: LabelledFile,
    models: Models = None,
    validation: Annotated[Path | None, typer.Option(help="A table for scores; by default a part of FILE.")] = None,
    sequences: Annotated[Path | None, typer.Option(help="A FASTA file, whose records the table names.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Column with the texts; `text` by default.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Column with the labels; `label` by default.")] = None,
    split_column: Annotated[str | None, typer.Option(help="Column with train, validation or test.")] = None,
    pair_column: Annotated[str | None, typer.Option(help="Column with the second text of a pair.")] = None,
    group_column: Annotated[str | None, typer.Option(help="Column with the groups of pairs.")] = None,
    label_type: Annotated[str | None, typer.Option(help="classes, labels or numbers; detected by default.")] = None,
    label_separator: Annotated[str | None, typer.Option(help="Between several labels in a cell, such as ;")] = None,
    labels_per_class: Labels = None,
    seeds: Annotated[int | None, typer.Option(help="Number of draws of the training labels; 5 by default.")] = None,
    methods: Methods = None,
    publish: Annotated[
        str | None, typer.Option(metavar="NAME", help="Publish the best model as a classifier of this name.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the evaluation; the file's by default.")] = None,
    watch: Annotated[bool, typer.Option(help="Wait for the report and print it.")] = True,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Measure how much models help with few labels, against baselines that need no model."""
    body: dict[str, Any] = {"models": models or ["cloze-text"], "text_column": text_column, "seeds": seeds}
    body |= {"label_column": label_column, "split_column": split_column, "label_type": label_type, "name": name}
    body |= {"label_separator": label_separator}
    body |= {"pair_column": pair_column, "group_column": group_column}
    body |= {"publish": publish, "methods": methods or None, "labels_per_class": parse_counts(labels_per_class)}
    with ApiClient(url, api_key) as client:
        job = _submit(
            client,
            file,
            {"validation_file": validation, "sequence_file": sequences},
            {key: value for key, value in body.items() if value is not None},
        )
        if not watch:
            if as_json:
                print_json(job)
            else:
                typer.echo(f"Queued {job['id']}; watch it with: cloze jobs watch {job['id']}")
            return
        raise typer.Exit(_wait(client, job["id"], as_json=as_json))


def parse_counts(text: str | None) -> list[int | str] | None:
    """Parses `1,10,all`. Raises InvalidValue."""
    if text is None:
        return None
    words = [word.strip() for word in text.split(",")]
    if not all(word == "all" or word.isdecimal() for word in words):
        raise InvalidValue(f"--labels-per-class takes numbers and `all`, as in 1,10,all; not {text!r}")
    return [word if word == "all" else int(word) for word in words]


def _submit(client: ApiClient, file: Path, others: Mapping[str, Path | None], body: dict[str, Any]) -> dict[str, Any]:
    """Uploads the files and queues the job. others: by the request's fields. A refused job leaves no uploads behind."""
    client.get("/v1/models")  # detects a missing server or a wrong key before a large upload
    with Uploads(client) as uploads:
        body["file"] = uploads.send(file)
        body |= {field: uploads.send(path) for field, path in others.items() if path is not None}
        job: dict[str, Any] = client.post(EVALUATIONS, body)
        uploads.keep()
    return job


def _wait(client: ApiClient, job_id: str, *, as_json: bool) -> int:
    """Shows the job's messages until it ends, then prints its report. Returns the exit code."""
    note(f"Queued {job_id}.")
    job: dict[str, Any] = {}
    try:
        for kind, data in follow(client, job_id, time.sleep):
            if kind == "message":
                note(data["message"])
            elif kind == "end":
                job = data
    except KeyboardInterrupt:
        note(f"\nDetached; the job continues. Watch it again: cloze jobs watch {job_id}")
        return DETACHED
    if job["status"] != "succeeded":
        raise AppError(job["error"]["message"] if job["error"] else f"the evaluation was {job['status']}")
    path = f"{EVALUATIONS}/{job_id}/artifacts"
    if as_json:
        print_json(json.loads(client.text(f"{path}/report.json")))
    else:
        typer.echo(client.text(f"{path}/report.md"), nl=False)
    return 0
