"""`cloze sweep` and `cloze sweeps`: search for hyperparameters, through the API of the running server."""

import re
import time
from collections.abc import Callable
from typing import Annotated, Any

import typer

from app.commands.client import ApiClient, ApiKey, Url
from app.commands.jobs import format_time
from app.commands.output import Json, note, print_json, print_table
from app.commands.pretrain import Files, Method, Model, Settings, parse_file, parse_setting, parse_value, upload_files
from app.commands.uploads import Uploads
from app.commands.watch import DETACHED
from app.errors import InvalidValue

app = typer.Typer(help="List, watch and control sweeps.", no_args_is_help=True)

SWEEPS = "/v1/sweeps"
SweepId = Annotated[str, typer.Argument(help="Id of the sweep, as `cloze sweeps list` shows it.", show_default=False)]
Parameters = Annotated[
    list[str],
    typer.Option(
        "--param",
        "-p",
        metavar="NAME=VALUES",
        help="Values of a hyperparameter or of `model`: a list A,B,C, or a range A..B or A..B:log. May be repeated.",
    ),
]
Random = Annotated[
    int | None, typer.Option("--random", metavar="N", help="Number of random combinations; all by default.")
]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Follow the sweep; Ctrl-C leaves it running.")]

_INTERVAL = 2.0  # seconds between two looks at a sweep
_ENDED = ("succeeded", "failed", "cancelled")
_RANGE = re.compile(r"(?P<min>[-+.\de]+)\.\.(?P<max>[-+.\de]+?)(?P<log>:log)?", re.IGNORECASE)


def sweep(
    files: Files,
    model: Model,
    parameters: Parameters,
    count: Random = None,
    seed: Annotated[int, typer.Option(help="Seed of the random combinations.")] = 0,
    name: Annotated[str | None, typer.Option(help="Publish the best model under this name.")] = None,
    validation: Annotated[str | None, typer.Option(help="Held-out data; by default a share of the files.")] = None,
    method: Method = None,
    values: Settings = None,
    watch: Watch = False,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Train a model for each combination of settings, rank them, and publish the best one."""
    job: dict[str, Any] = {"model": model, "hyperparameters": dict(map(parse_setting, values or []))}
    job |= {"method": {"type": method}} if method is not None else {}
    job |= {"name": name} if name is not None else {}
    body: dict[str, Any] = {"job": job, "parameters": dict(map(parse_parameter, parameters))}
    body |= {"search": "random", "count": count, "seed": seed} if count is not None else {}
    with ApiClient(url, api_key) as client:
        client.get("/v1/models")  # detects a missing server or a wrong key before a large upload
        with Uploads(client) as uploads:
            job |= upload_files(uploads, list(map(parse_file, files)), validation)
            found = client.post(SWEEPS, body)
            uploads.keep()
        note(f"Queued {found['id']} with {found['count']} jobs.")
        if watch:
            raise typer.Exit(watch_sweep(client, found["id"], as_json=as_json))
    if as_json:
        print_json(found)
    else:
        typer.echo(f"Watch it with: cloze sweeps watch {found['id']}")


@app.command("list")
def list_sweeps(
    limit: Annotated[int, typer.Option(min=1, max=100)] = 20,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """List sweeps, newest first."""
    with ApiClient(url, api_key) as client:
        found = client.get(SWEEPS, limit=limit)["data"]
    if as_json:
        print_json(found)
    else:
        print_table(["sweep", "name", "status", "jobs", "created", "best", "result"], [_row(each) for each in found])


@app.command("show")
def show(sweep_id: SweepId, url: Url = None, api_key: ApiKey = None, as_json: Json = False) -> None:
    """Show the jobs of a sweep, the best first."""
    with ApiClient(url, api_key) as client:
        _print(client.get(f"{SWEEPS}/{sweep_id}"), as_json)


@app.command("watch")
def watch(sweep_id: SweepId, url: Url = None, api_key: ApiKey = None, as_json: Json = False) -> None:
    """Follow a sweep until it ends, and show its jobs. The exit code is 0 only if it succeeded."""
    with ApiClient(url, api_key) as client:
        raise typer.Exit(watch_sweep(client, sweep_id, as_json=as_json))


@app.command("cancel")
def cancel(
    sweep_id: SweepId,
    publish: Annotated[bool, typer.Option("--publish", help="Publish the best of the jobs that succeeded.")] = False,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """End a sweep and its jobs."""
    with ApiClient(url, api_key) as client:
        _print(client.post(f"{SWEEPS}/{sweep_id}/cancel", {"publish": True} if publish else None), as_json)


@app.command("delete")
def delete(
    sweep_id: SweepId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Delete an ended sweep with its jobs and their checkpoints. The published model is kept."""
    if not yes:
        typer.confirm(f"Delete {sweep_id} and its jobs?", abort=True)
    with ApiClient(url, api_key) as client:
        client.delete(f"{SWEEPS}/{sweep_id}")
    typer.echo(f"Deleted {sweep_id}")


def watch_sweep(client: ApiClient, sweep_id: str, *, as_json: bool, sleep: Callable[[float], None] = time.sleep) -> int:
    """Follows a sweep until it ends. Returns the exit code. Ctrl-C detaches and leaves the sweep running."""
    ended = -1
    try:
        while (found := client.get(f"{SWEEPS}/{sweep_id}"))["status"] not in _ENDED:
            if found["ended"] != ended:
                ended = found["ended"]
                note(f"{ended} of {found['count']} jobs have ended.")
            sleep(_INTERVAL)
    except KeyboardInterrupt:
        note(f"\nDetached; the sweep continues.\n  watch it again: cloze sweeps watch {sweep_id}")
        return DETACHED
    _print(found, as_json)
    return 0 if found["status"] == "succeeded" else 1


def parse_parameter(text: str) -> tuple[str, Any]:
    """Parses `name=a,b,c`, `name=a..b` or `name=a..b:log`."""
    name, equals, values = text.partition("=")
    if not equals or not name.strip() or not values:
        raise InvalidValue(f"--param takes NAME=VALUES, not {text!r}")
    if match := _RANGE.fullmatch(values.strip()):
        try:
            found = {"min": float(match["min"]), "max": float(match["max"])}
        except ValueError as error:
            raise InvalidValue(f"{values} is not a range of numbers") from error
        return name.strip(), found | ({"scale": "log"} if match["log"] else {})
    return name.strip(), [parse_value(value.strip()) for value in values.split(",")]


def _row(found: dict[str, Any]) -> list[str]:
    best = next((job for job in found["jobs"] if job["rank"] == 1), None)
    score = f"{found['measure']} {best['value']:.4g}" if best else ""
    jobs = f"{found['ended']}/{found['count']}"
    created = format_time(found["created_at"])
    return [found["id"], found["name"], found["status"], jobs, created, score, found["fine_tuned_model"] or ""]


def _print(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    names = found["parameters"]
    rows = [
        [
            job["id"],
            str(job["rank"] or ""),
            job["status"],
            "" if job["value"] is None else f"{job['value']:.4g}",
            *(str(job["settings"][name]) for name in names),
        ]
        for job in found["jobs"]
    ]
    print_table(["job", "rank", "status", found["measure"], *names], rows)
    result = f": published {found['fine_tuned_model']}" if found["fine_tuned_model"] else ""
    note(f"{found['id']} is {found['status']}{result}")
