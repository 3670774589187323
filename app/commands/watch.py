"""Display of a job on the terminal: a progress bar, its newest metrics and its messages."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

from app.commands.client import ApiClient, ServerUnreachable
from app.commands.output import note

JOB = "/v1/pretraining/jobs/{}"
DETACHED = 130  # exit code, as after any Ctrl-C

_INTERVAL = 0.5  # seconds before a broken stream is opened again
_JOB_MESSAGES = {"job", "end"}  # kinds of messages that contain the job itself
_STYLES = {"warn": "yellow", "error": "red"}
_PATIENCE = 60.0  # seconds without a server before the watch ends with an error


def watch_job(client: ApiClient, job_id: str, *, as_json: bool, sleep: Callable[[float], None] = time.sleep) -> int:
    """Shows a job until it ends. Returns the exit code. Ctrl-C detaches and leaves the job running."""
    client.get(JOB.format(job_id))  # an unknown job is an error before anything is drawn
    try:
        job = (_print_events if as_json else _draw)(client, job_id, sleep)
    except KeyboardInterrupt:
        note(
            f"\nDetached; the job continues.\n"
            f"  watch it again: cloze jobs watch {job_id}\n"
            f"  end it:         cloze jobs cancel {job_id}"
        )
        return DETACHED
    return 0 if job["status"] == "succeeded" else 1


def follow(client: ApiClient, job_id: str, sleep: Callable[[float], None]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (kind, event or job) as the server sends them, until the job has ended.

    The kinds are `message` and `metrics`, with each event once, `job`, and finally `end`. Waits for a server that is
    restarted meanwhile.
    """
    last: str | None = None
    silent = 0.0
    while True:
        try:
            for message in client.stream(f"{JOB.format(job_id)}/events", last):
                last, silent = message.last_id or last, 0.0
                yield message.event, json.loads(message.data)
                if message.event == "end":
                    return
            raise ServerUnreachable(f"{client.url} has ended the stream of the job")
        except ServerUnreachable:
            if silent >= _PATIENCE:
                raise
            silent += _INTERVAL
            sleep(_INTERVAL)


def _print_events(client: ApiClient, job_id: str, sleep: Callable[[float], None]) -> dict[str, Any]:
    job: dict[str, Any] = {}
    for kind, data in follow(client, job_id, sleep):
        if kind in _JOB_MESSAGES:
            job = data
        else:
            typer.echo(json.dumps(data, ensure_ascii=False))
    return job


def _draw(client: ApiClient, job_id: str, sleep: Callable[[float], None]) -> dict[str, Any]:
    console = Console()
    bar = Progress(TextColumn("{task.description}"), BarColumn(None), TaskProgressColumn())
    task = bar.add_task(job_id, total=100)
    job: dict[str, Any] = {}
    metrics: dict[str, float] = {}
    with Live(console=console, refresh_per_second=4, transient=not console.is_terminal) as live:
        for kind, data in follow(client, job_id, sleep):
            if kind in _JOB_MESSAGES:
                job = data
                bar.update(task, completed=job["progress"]["percent"], description=job["status"])
                live.update(Group(bar, Text(describe(job, metrics))))
                continue
            metrics |= data["data"] if kind == "metrics" else {}
            # On a terminal the bar shows the metrics; in a log their lines do.
            if kind == "message" or not console.is_terminal:
                console.print(data["message"], style=_STYLES.get(data["level"]), markup=False, soft_wrap=True)
    if job["status"] == "succeeded" and (model := job.get("fine_tuned_model") or job.get("model")):
        console.print(f"{model} is published and served.", markup=False)
    return job


def describe(job: dict[str, Any], metrics: dict[str, float]) -> str:
    """step 120/1000 · loss 3.214 · held-out 3.301 · bigram 5.102 · accuracy 41.2 % · 12,345 tokens/s · 2:05 left"""
    progress = job["progress"]
    total = f"/{progress['total_steps']}" if progress["total_steps"] else ""
    parts = [f"step {progress['step']}{total}"]
    for key, text in (
        ("train_loss", "loss {:.3f}"),
        ("eval_loss", "held-out {:.3f}"),
        ("eval_bigram_loss", "bigram {:.3f}"),
        ("eval_accuracy", "accuracy {:.1%}"),
    ):
        if (value := metrics.get(key)) is not None:
            parts.append(text.format(value))
    if progress["tokens_per_second"]:
        parts.append(f"{progress['tokens_per_second']:,.0f} tokens/s")
    if progress["eta_seconds"]:
        minutes, seconds = divmod(round(progress["eta_seconds"]), 60)
        hours, minutes = divmod(minutes, 60)
        parts.append(f"{hours}:{minutes:02}:{seconds:02} left" if hours else f"{minutes}:{seconds:02} left")
    return " · ".join(parts)
