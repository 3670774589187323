"""What `cloze jobs …` sends, and what it makes of the answer."""

import json
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from app.commands import jobs
from app.commands.client import ApiClient

JOB = {
    "id": "ftjob-1",
    "status": "queued",
    "queue_position": 2,
    "cancel_requested": False,
    "pause_requested": False,
    "fine_tuned_model": None,
}
PUBLISHED = {"model": "mine@2", "step_number": 10}
WORKER = {
    "id": "w1",
    "status": "busy",
    "job_id": "ftjob-1",
    "capabilities": {"devices": ["cuda", "cpu"], "memory_gb": 64.0, "gpu_memory_gb": 24.0, "threads": 8},
}
EVENT = {"created_at": 0, "level": "info", "message": "Step 1"}


class Server:
    """Answers every request by its path's end, and remembers it."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, Any]] = []
        self.answers: dict[str, Any] = {
            "publish": PUBLISHED,
            "checkpoints": {"data": [{"id": "ftckpt-1-10"}]},
            "events": {"data": [EVENT]},
            "workers": {"data": [WORKER]},
        }

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.sent.append((request.method, request.url.path, json.loads(request.content or b"null")))
        end = request.url.path.rpartition("/")[2]
        if end == "logs":
            return httpx.Response(200, text="a line\n")
        return httpx.Response(200, json=self.answers.get(end, JOB))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()

    def connect(url: str | None, api_key: str | None) -> ApiClient:
        return ApiClient("http://cloze.test", api_key, transport=httpx.MockTransport(server.handle))

    monkeypatch.setattr(jobs, "ApiClient", connect)
    return server


def run(*args: str) -> Result:
    done = CliRunner().invoke(jobs.app, args, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


@pytest.mark.parametrize(
    ("args", "action", "body"),
    [
        (["cancel"], "cancel", None),
        (["cancel", "--publish"], "cancel", {"publish": True}),
        (["pause"], "pause", None),
        (["resume"], "resume", None),
        (["retry"], "retry", None),
        (["retry", "--max-wall-minutes", "5"], "retry", {"max_wall_minutes": 5}),
        (["extend", "--steps", "20", "--minutes", "3"], "extend", {"max_steps": 20, "max_minutes": 3}),
        (["priority", "5"], "priority", {"priority": 5}),
        (["priority", "--", "-5"], "priority", {"priority": -5}),
        (["priority", "--position", "0"], "priority", {"position": 0}),
    ],
)
def test_actions(server: Server, args: list[str], action: str, body: Any) -> None:
    command, *options = args
    dashes = options.index("--") if "--" in options else 0
    done = run(command, *options[:dashes], "ftjob-1", *options[dashes:])
    assert server.sent == [("POST", f"/v1/pretraining/jobs/ftjob-1/{action}", body)]
    assert done.stdout == "ftjob-1 is queued, 2 before it\n"


def test_what_is_stopping_is_told(server: Server) -> None:
    server.answers["pause"] = {**JOB, "status": "running", "pause_requested": True}
    assert run("pause", "ftjob-1").stdout == "ftjob-1 stops at its next step\n"


@pytest.mark.parametrize("options", [[], ["--publish"]])
def test_a_job_of_another_kind_is_cancelled(server: Server, options: list[str]) -> None:
    server.answers["cancel"] = {"status": "cancelled", "queue_position": None, "cancel_requested": False}
    assert run("cancel", "ftjob-1", *options).stdout == "ftjob-1 is cancelled\n"


def test_the_newest_checkpoint_is_published_unless_one_is_named(server: Server) -> None:
    assert run("publish", "ftjob-1").stdout == "Published step 10 as mine@2\n"
    run("publish", "ftjob-1", "ftckpt-1-5", "--name", "other")
    assert [path.split("/")[-2:] for method, path, _ in server.sent if method == "POST"] == [
        ["ftckpt-1-10", "publish"],
        ["ftckpt-1-5", "publish"],
    ]
    assert server.sent[-1][2] == {"name": "other"}


def test_deleting_asks_first(server: Server) -> None:
    assert CliRunner().invoke(jobs.app, ["delete", "ftjob-1"], input="n\n").exit_code != 0
    assert server.sent == []
    assert run("delete", "ftjob-1", "--yes").stdout == "Deleted ftjob-1\n"
    assert server.sent == [("DELETE", "/v1/pretraining/jobs/ftjob-1", None)]


def test_events_logs_and_workers_are_shown(server: Server) -> None:
    assert "Step 1" in run("events", "ftjob-1").stdout
    assert json.loads(run("events", "ftjob-1", "--json").stdout) == [EVENT]
    assert run("logs", "ftjob-1").stdout == "a line\n"
    line = run("workers").stdout.splitlines()[1]
    assert "busy" in line and "cuda, cpu" in line and "64 GB + 24 GB" in line


def test_the_list_shows_names_and_is_whole_in_a_pipe(server: Server) -> None:
    job = JOB | {"name": "n" * 120, "model": "a\tb", "created_at": 0, "progress": {"percent": 7.0}, "verdict": None}
    scored = job | {"id": "ftjob-2", "verdict": {"measure": "accuracy", "value": 0.42137}}
    server.answers["jobs"] = {"data": [job, scored]}
    head, *lines = CliRunner().invoke(jobs.app, ["list"]).stdout.splitlines()
    assert head.split("\t") == ["job", "name", "status", "progress", "created", "score", "model", "result"]
    first, second = (line.split("\t") for line in lines)
    assert first[:4] == ["ftjob-1", "n" * 120, "queued", "7 %"] and first[5:] == ["", "a b", ""]
    assert second[5] == "accuracy 0.4214"
