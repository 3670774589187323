"""`cloze pretrain`: uploads files, queues a job and watches it, through the API of the running server."""

import contextlib
import json
import math
from pathlib import Path
from typing import Annotated, Any

import typer

from app.commands.client import ApiClient, ApiKey, Url
from app.commands.jobs import JOBS
from app.commands.output import Json, note, print_json
from app.commands.previews import print_validation
from app.commands.uploads import Uploads, is_address
from app.commands.watch import watch_job
from app.errors import InvalidValue

Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE[=WEIGHT]...",
        help="Text of any suffix, .jsonl, .csv, .parquet, .fasta, .fastq, .smi, …; also .gz .xz .zst. Source code,"
        " pictures, sounds and videos: a folder, a .zip or .tar of files, or a .lst of their paths. Where the server"
        " allows it, also an address: hf://datasets/owner/name/path, https://… or s3://bucket/key. The weight is how"
        " often an epoch reads the file, 1 by default.",
    ),
]
Model = Annotated[
    str, typer.Option("--model", "-m", help="A stored model to continue, or a preset from scratch: modernbert-mini, …")
]
Method = Annotated[str | None, typer.Option(help="Training method: mlm, contrastive, …; else the one for --model.")]
DocumentMode = Annotated[
    str | None, typer.Option(help="One document of a plain text: lines, paragraphs or file; detected by default.")
]
ListColumn = Annotated[
    str | None, typer.Option(help="Column of .csv and .tsv files that lists media files, which are uploaded instead.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show how the files are read, without queueing a job or keeping the uploads.")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any other hyperparameter; may be repeated.")
]
Evaluations = Annotated[
    list[str] | None,
    typer.Option("--evaluation", metavar="ID", help="An earlier evaluation to repeat on the result; may be repeated."),
]

Resources = Annotated[
    list[str] | None,
    typer.Option(
        "--resource",
        metavar="KEY=VALUE",
        help="What the job needs: device=cuda, memory_gb=40, threads=8, nodes=2 or gpus=8; may be repeated.",
    ),
]
IntervalEvaluations = Annotated[
    list[str] | None,
    typer.Option(
        "--interval-evaluation",
        metavar="ID",
        help="An earlier evaluation whose score is measured at each evaluation of the run; may be repeated.",
    ),
]


def pretrain(
    files: Files,
    model: Model,
    name: Annotated[str | None, typer.Option(help="Publish the result under this name.")] = None,
    validation: Annotated[str | None, typer.Option(help="Held-out data; by default a share of the files.")] = None,
    method: Method = None,
    max_steps: Annotated[int | None, typer.Option(help="Maximum number of steps.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Number of passes over the data.")] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Maximum minutes of training.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of tables that contains the text.")] = None,
    documents: DocumentMode = None,
    list_column: ListColumn = None,
    values: Settings = None,
    resources: Resources = None,
    evaluations: Evaluations = None,
    interval_evaluations: IntervalEvaluations = None,
    dry_run: DryRun = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow the job; Ctrl-C leaves it running.")] = False,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Pretrain a model on files. The result is served as soon as it is published."""
    named: dict[str, Any] = {"max_steps": max_steps, "epochs": epochs, "max_minutes": max_minutes}
    named |= {"learning_rate": learning_rate, "text_column": text_column, "documents": documents}
    hyperparameters = {key: value for key, value in named.items() if value is not None}
    hyperparameters |= dict(map(parse_setting, values or []))
    body: dict[str, Any] = {"model": model, "hyperparameters": hyperparameters}
    body |= {"method": {"type": method}} if method is not None else {}
    body |= {"name": name} if name is not None else {}
    body |= {"resources": dict(parse_setting(each, "--resource") for each in resources)} if resources else {}
    at_intervals = [{"id": each, "when": "interval"} for each in interval_evaluations or []]
    body |= {"evaluations": [*(evaluations or []), *at_intervals]} if evaluations or at_intervals else {}
    with ApiClient(url, api_key) as client:
        found = _submit(client, list(map(parse_file, files)), validation, body, list_column, dry_run=dry_run)
        if watch and not dry_run:
            note(f"Queued {found['id']}.")
            raise typer.Exit(watch_job(client, found["id"], as_json=as_json))
    if as_json:
        print_json(found)
    elif dry_run:
        print_validation(found)
    else:
        typer.echo(f"Queued {found['id']}; watch it with: cloze jobs watch {found['id']}")


def _submit(
    client: ApiClient,
    files: list[tuple[str, float | None]],
    validation: str | None,
    body: dict[str, Any],
    list_column: str | None,
    *,
    dry_run: bool,
) -> dict[str, Any]:
    """Uploads the files and queues the job, or validates it. A refused job and a dry run leave no uploads behind."""
    client.get("/v1/models")  # detects a missing server or a wrong key before a large upload
    with Uploads(client) as uploads:
        body |= upload_files(uploads, files, validation, list_column)
        found: dict[str, Any] = client.post(f"{JOBS}/validate" if dry_run else JOBS, body)
        if not dry_run:
            uploads.keep()
    return found


def upload_files(
    uploads: Uploads, files: list[tuple[str, float | None]], validation: str | None, list_column: str | None = None
) -> dict[str, Any]:
    """Uploads the files of a job. Returns the fields of its request that name them."""
    ids = [uploads.send(file, list_column) for file, _ in files]
    weights = [weight for _, weight in files]
    named: dict[str, Any] = {
        "training_files": [i if w is None else {"id": i, "weight": w} for i, w in zip(ids, weights, strict=True)]
    }
    if validation is not None:
        named["validation_file"] = uploads.send(validation, list_column)
    return named


def parse_file(text: str) -> tuple[str, float | None]:
    """Parses `file=weight` or `file`. The name of an existing file, and an address with a query, are never split."""
    name, equals, weight = text.rpartition("=")
    if not equals or (("?" in text) if is_address(text) else Path(text).exists()):
        return text, None
    try:
        value = float(weight)
    except ValueError:
        return text, None  # the upload reports it as missing
    if not (math.isfinite(value) and value > 0):
        raise InvalidValue(f"the weight of {name} must be a number above 0, not {weight}")
    return name, value


def parse_setting(text: str, option: str = "--set") -> tuple[str, Any]:
    """Parses `key=value`, the value as `parse_value`. option: The one that an error names."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise InvalidValue(f"{option} takes KEY=VALUE, not {text!r}")
    return key.strip(), parse_value(value)


def parse_value(text: str) -> Any:
    """Parses JSON, and numbers and booleans as Python writes them (.5, 1_000, True); else returns the text."""
    if text.strip().lower() in ("true", "false"):
        return text.strip().lower() == "true"
    for parse in (json.loads, int, float):
        with contextlib.suppress(ValueError):
            value = parse(text)
            if not isinstance(value, float) or math.isfinite(value):
                return value
    return text
