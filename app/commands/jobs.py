"""`cloze jobs`: pretraining jobs, through the API of the running server."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from app.commands.client import ApiClient, ApiKey, Url
from app.commands.output import Json, print_json, print_table
from app.commands.watch import watch_job
from app.errors import Conflict

app = typer.Typer(help="List, watch and control pretraining jobs.", no_args_is_help=True)

JOBS = "/v1/pretraining/jobs"
JobId = Annotated[str, typer.Argument(help="Id of the job, as `cloze jobs list` shows it.", show_default=False)]


@app.command("list")
def list_jobs(
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """List jobs, newest first. In a pipe, tabs separate the columns, and nothing is truncated.

    The score is the held-out measure of a finished job's verdict.
    """
    with ApiClient(url, api_key) as client:
        jobs = client.get(JOBS, limit=limit)["data"]
    if as_json:
        print_json(jobs)
    else:
        columns = ["job", "name", "status", "progress", "created", "score", "model", "result"]
        print_table(columns, [_row(job) for job in jobs])


@app.command("watch")
def watch(job_id: JobId, url: Url = None, api_key: ApiKey = None, as_json: Json = False) -> None:
    """Follow a job until it ends. --json prints one event per line.

    Ctrl-C leaves the job running. The exit code is 0 only if the job succeeded.
    """
    with ApiClient(url, api_key) as client:
        raise typer.Exit(watch_job(client, job_id, as_json=as_json))


@app.command("cancel")
def cancel(
    job_id: JobId,
    publish: Annotated[bool, typer.Option("--publish", help="Publish the last checkpoint.")] = False,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """End a job. Its last checkpoint is kept."""
    _send_action(job_id, "cancel", {"publish": True} if publish else None, url, api_key, as_json)


@app.command("pause")
def pause(job_id: JobId, url: Url = None, api_key: ApiKey = None, as_json: Json = False) -> None:
    """Make a job save a checkpoint and free its worker."""
    _send_action(job_id, "pause", None, url, api_key, as_json)


@app.command("resume")
def resume(job_id: JobId, url: Url = None, api_key: ApiKey = None, as_json: Json = False) -> None:
    """Continue a paused job."""
    _send_action(job_id, "resume", None, url, api_key, as_json)


@app.command("retry")
def retry(
    job_id: JobId,
    max_wall_minutes: Annotated[float | None, typer.Option(help="New deadline, in minutes from now.")] = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Queue a failed or cancelled job again, from its last checkpoint."""
    body = {"max_wall_minutes": max_wall_minutes} if max_wall_minutes else None
    _send_action(job_id, "retry", body, url, api_key, as_json)


@app.command("extend")
def extend(
    job_id: JobId,
    steps: Annotated[int | None, typer.Option(help="Steps of the whole job, including completed ones.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Epochs of the whole job.")] = None,
    tokens: Annotated[int | None, typer.Option(help="Tokens of the whole job.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Minutes of training of the whole job.")] = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Continue a finished job up to new limits, which replace all its old ones."""
    limits = {"max_steps": steps, "epochs": epochs, "max_tokens": tokens, "max_minutes": minutes}
    given = {name: limit for name, limit in limits.items() if limit is not None}
    _send_action(job_id, "extend", given, url, api_key, as_json)


@app.command("priority")
def priority(
    job_id: JobId,
    value: Annotated[int | None, typer.Argument(help="Priority; the highest runs first.", show_default=False)] = None,
    position: Annotated[int | None, typer.Option(min=0, help="Position in the queue instead; 0 is next.")] = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Change a job's priority, or its position in the queue. Write `--` before a negative priority."""
    given = {"priority": value, "position": position}
    _send_action(job_id, "priority", {k: v for k, v in given.items() if v is not None}, url, api_key, as_json)


@app.command("publish")
def publish(
    job_id: JobId,
    checkpoint: Annotated[
        str | None, typer.Argument(help="Checkpoint; the newest by default.", show_default=False)
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the model; the job's by default.")] = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Publish a checkpoint of a job as a model."""
    with ApiClient(url, api_key) as client:
        if checkpoint is None:
            kept = client.get(f"{JOBS}/{job_id}/checkpoints", limit=1)["data"]
            if not kept:
                raise Conflict(f"{job_id} has no checkpoint")
            checkpoint = kept[0]["id"]
        path = f"{JOBS}/{job_id}/checkpoints/{checkpoint}/publish"
        published = client.post(path, {"name": name} if name else None)
    if as_json:
        print_json(published)
    else:
        typer.echo(f"Published step {published['step_number']} as {published['model']}")


@app.command("delete")
def delete(
    job_id: JobId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Delete an ended job with its events, logs and checkpoints. Its models are kept."""
    if not yes:
        typer.confirm(f"Delete {job_id} and its checkpoints?", abort=True)
    with ApiClient(url, api_key) as client:
        client.delete(f"{JOBS}/{job_id}")
    typer.echo(f"Deleted {job_id}")


@app.command("events")
def events(
    job_id: JobId,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Show the newest events of a job, oldest first."""
    with ApiClient(url, api_key) as client:
        found = client.get(f"{JOBS}/{job_id}/events", limit=limit)["data"][::-1]
    if as_json:
        print_json(found)
    else:
        print_table(
            ["time", "level", "event"], [[format_time(e["created_at"]), e["level"], e["message"]] for e in found]
        )


@app.command("logs")
def logs(
    job_id: JobId,
    attempt: Annotated[int | None, typer.Option(min=1, help="Number of the attempt; the latest by default.")] = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Print the output of a job's process."""
    with ApiClient(url, api_key) as client:
        typer.echo(client.text(f"{JOBS}/{job_id}/logs", attempt=attempt), nl=False)


@app.command("workers")
def workers(url: Url = None, api_key: ApiKey = None, as_json: Json = False) -> None:
    """List the workers that are alive, and their jobs."""
    with ApiClient(url, api_key) as client:
        found = client.get("/v1/workers")["data"]
    if as_json:
        print_json(found)
    else:
        rows = [[w["id"], w["status"], w["job_id"] or "", *_format_capabilities(w["capabilities"])] for w in found]
        print_table(["worker", "status", "job", "devices", "memory", "threads"], rows)


def _send_action(
    job_id: str, action: str, body: dict[str, Any] | None, url: str | None, api_key: str | None, as_json: bool
) -> None:
    with ApiClient(url, api_key) as client:
        job = client.post(f"{JOBS}/{job_id}/{action}", body)
    if as_json:
        print_json(job)
    elif job["cancel_requested"] or job.get("pause_requested"):  # only pretraining jobs can be paused
        typer.echo(f"{job_id} stops at its next step")
    else:
        place = f", {job['queue_position']} before it" if job["queue_position"] is not None else ""
        result = job.get("fine_tuned_model") if body == {"publish": True} else None
        published = f"; published {result}" if result else ""
        typer.echo(f"{job_id} is {job['status']}{place}{published}")


def _row(job: dict[str, Any]) -> list[str]:
    created = format_time(job["created_at"])
    percent = f"{job['progress']['percent']:.0f} %"
    state = [job["id"], job["name"], job["status"], percent, created, _format_score(job["verdict"])]
    return [*state, job["model"], job["fine_tuned_model"] or ""]


def _format_score(verdict: dict[str, Any] | None) -> str:
    if verdict is None or verdict["value"] is None:
        return ""
    return f"{verdict['measure']} {verdict['value']:.4g}"


def format_time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def _format_capabilities(capabilities: dict[str, Any]) -> list[str]:
    memory = " + ".join(f"{capabilities[k]:g} GB" for k in ("memory_gb", "gpu_memory_gb") if capabilities[k])
    return [", ".join(capabilities["devices"]), memory, str(capabilities["threads"] or "")]
