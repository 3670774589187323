"""`cloze pretrain`: uploads files, queues a job and watches it, through the API of the running server."""

import json
import math
from pathlib import Path
from typing import Annotated, Any

import typer

from app.commands.client import ApiClient, ApiKey, Url
from app.commands.jobs import JOBS
from app.commands.output import Json, note, print_json
from app.commands.watch import watch_job
from app.errors import InvalidValue


def pretrain(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE[=WEIGHT]...",
            help="Text of any suffix, .jsonl, .csv, .parquet, .fasta, .fastq, .smi, …; also .gz .xz .zst. Source code,"
            " pictures, sounds and videos: .zip or .tar of files. The weight is how often an epoch reads the file, 1"
            " by default.",
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", help="A stored model to continue, or a preset from scratch: bert-mini, mae-tiny, …"
        ),
    ],
    name: Annotated[str | None, typer.Option(help="Publish the result under this name.")] = None,
    validation: Annotated[Path | None, typer.Option(help="Held-out data; by default a share of the files.")] = None,
    method: Annotated[
        str | None, typer.Option(help="Training method: mlm, mae, …; by default the one that suits --model.")
    ] = None,
    max_steps: Annotated[int | None, typer.Option(help="Maximum number of steps.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Number of passes over the data.")] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Maximum minutes of training.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    values: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any other hyperparameter; may be repeated.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow the job; Ctrl-C leaves it running.")] = False,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Pretrain a model on files. The result is served as soon as it is published."""
    named = {"max_steps": max_steps, "epochs": epochs, "max_minutes": max_minutes, "learning_rate": learning_rate}
    hyperparameters = {key: value for key, value in named.items() if value is not None}
    hyperparameters |= dict(map(parse_setting, values or []))
    with ApiClient(url, api_key) as client:
        job = _submit(client, list(map(parse_file, files)), validation, model, name, method, hyperparameters)
        if as_json and not watch:
            print_json(job)
        elif not watch:
            typer.echo(f"Queued {job['id']}; watch it with: cloze jobs watch {job['id']}")
        if watch:
            note(f"Queued {job['id']}.")
            raise typer.Exit(watch_job(client, job["id"], as_json=as_json))


def _submit(
    client: ApiClient,
    files: list[tuple[Path, float | None]],
    validation: Path | None,
    model: str,
    name: str | None,
    method: str | None,
    hyperparameters: dict[str, Any],
) -> dict[str, Any]:
    body: dict[str, Any] = {"model": model, "hyperparameters": hyperparameters}
    if method is not None:
        body["method"] = {"type": method}
    if name is not None:
        body["name"] = name
    client.get("/v1/models")  # detects a missing server or a wrong key before a large upload
    ids = [client.upload(file) for file, _ in files]
    weights = [weight for _, weight in files]
    body["training_files"] = [i if w is None else {"id": i, "weight": w} for i, w in zip(ids, weights, strict=True)]
    if validation is not None:
        body["validation_file"] = client.upload(validation)
    job: dict[str, Any] = client.post(JOBS, body)
    return job


def parse_file(text: str) -> tuple[Path, float | None]:
    """Parses `file=weight` or `file`. The name of an existing file is never split."""
    name, equals, weight = text.rpartition("=")
    if not equals or Path(text).exists():
        return Path(text), None
    try:
        value = float(weight)
    except ValueError:
        return Path(text), None  # the upload reports it as missing
    if not (math.isfinite(value) and value > 0):
        raise InvalidValue(f"the weight of {name} must be a number above 0, not {weight}")
    return Path(name), value


def parse_setting(text: str) -> tuple[str, Any]:
    """Parses `key=value`. The value is parsed as JSON if possible, and is a string otherwise."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise InvalidValue(f"--set takes KEY=VALUE, not {text!r}")
    try:
        return key.strip(), json.loads(value)
    except ValueError:
        return key.strip(), value
