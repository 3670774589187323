"""Watching a job over HTTP: pages and streams of events, metrics, logs."""

import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.jobs.connection import Client
from app.jobs.feed import EventFeed
from app.jobs.files import FileStore
from app.jobs.logs import MAX_TAIL_BYTES
from app.jobs.worker_queue import Claim
from tests.fakes.http import http
from tests.fakes.jobs import JobSystem, make_spec
from tests.fakes.server import serving

PATH = "/v1/pretraining/jobs/{}"
SSE = {"accept": "text/event-stream"}
PATIENCE = 30.0  # seconds

Message = dict[str, str]


@pytest.fixture
def claim(jobs: JobSystem, redis: Client) -> Claim:
    jobs.create(make_spec(redis))
    claim = jobs.queue.claim("w1", 60)
    assert claim
    return claim


@pytest.fixture
def url(make_app: Callable[..., Any], jobs: JobSystem, feed: EventFeed) -> Iterator[str]:
    with serving(make_app(jobs=jobs, feed=feed)) as url:
        yield url
        feed.end()


def parse(lines: Iterator[str]) -> Iterator[Message]:
    """The fields of each message; a comment is a message with none."""
    message: Message = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            message |= {name: value} if name else {}
        else:
            yield message
            message = {}


def listen(url: str, job_id: str, **headers: str) -> list[Message]:
    with http.stream("GET", url + PATH.format(job_id) + "/events", headers=SSE | headers, timeout=PATIENCE) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        return list(parse(answer.iter_lines()))


def test_a_stream_has_every_event_and_ends_with_the_job(url: str, jobs: JobSystem, claim: Claim) -> None:
    jobs.queue.append_event(claim, "Step 1", type="metrics", data={"step": 1, "train_loss": 0.5})
    found: list[Message] = []
    with http.stream("GET", url + PATH.format(claim.job_id) + "/events?stream=true", timeout=PATIENCE) as answer:
        for message in parse(answer.iter_lines()):
            found.append(message)
            if message.get("event") == "job" and json.loads(message["data"])["status"] == "running":
                jobs.queue.succeed(claim, "tiny@1")
    retry, *events = found
    assert retry == {"retry": "1000"}
    assert [m["event"] for m in events] == ["message", "message", "metrics", "job", "message", "end"]
    assert events[2]["id"] == json.loads(events[2]["data"])["id"]
    assert json.loads(events[2]["data"])["data"] == {"step": 1, "train_loss": 0.5}
    assert (json.loads(events[-1]["data"])["fine_tuned_model"], events[-1]["id"]) == (
        "tiny@1",
        events[-2]["id"] + "-end",
    )


def test_a_stream_says_why_a_job_waits(url: str, jobs: JobSystem, redis: Client) -> None:
    job_id = jobs.create(make_spec(redis)).id
    with http.stream("GET", url + PATH.format(job_id) + "/events", headers=SSE, timeout=PATIENCE) as answer:
        shown = next(m for m in parse(answer.iter_lines()) if m.get("event") == "job")
    assert json.loads(shown["data"])["queue_reason"] == "no worker is running"


def test_a_broken_stream_goes_on_where_it_was(url: str, jobs: JobSystem, claim: Claim) -> None:
    jobs.queue.append_event(claim, "one")
    jobs.queue.append_event(claim, "two")
    with http.stream("GET", url + PATH.format(claim.job_id) + "/events", headers=SSE, timeout=PATIENCE) as answer:
        first = list(itertools.islice(parse(answer.iter_lines()), 4))  # then it breaks
    jobs.queue.succeed(claim, "tiny@1")
    rest = listen(url, claim.job_id, **{"last-event-id": first[-1]["id"]})
    said = [json.loads(m["data"])["message"] for m in [*first, *rest] if m.get("event") == "message"]
    assert said == [event.message for event in jobs.events(claim.job_id)[0]]
    # A browser comes back after the end too, and is told to stay away.
    again = http.get(url + PATH.format(claim.job_id) + "/events", headers=SSE | {"last-event-id": rest[-1]["id"]})
    assert again.status_code == 204


def test_a_listener_that_leaves_is_forgotten(url: str, feed: EventFeed, claim: Claim) -> None:
    with http.stream("GET", url + PATH.format(claim.job_id) + "/events", headers=SSE, timeout=PATIENCE) as answer:
        lines = answer.iter_lines()  # held: dropping it would close the stream
        next(lines)
        wait_until(lambda: feed.listeners == 1)
    wait_until(lambda: feed.listeners == 0)


def test_a_server_that_stops_ends_its_streams(
    make_app: Callable[..., Any], jobs: JobSystem, feed: EventFeed, claim: Claim
) -> None:
    with serving(make_app(jobs=jobs, feed=feed)) as url:
        path = url + PATH.format(claim.job_id) + "/events"
        with http.stream("GET", path, headers=SSE, timeout=PATIENCE) as answer:
            messages = parse(answer.iter_lines())
            while next(messages).get("event") != "job":
                continue
            feed.end()
            assert list(messages) == []  # no `end`: the job goes on


def test_what_cannot_be_streamed(jobs_client: TestClient, claim: Claim) -> None:
    assert jobs_client.get(PATH.format("ftjob-0") + "/events", headers=SSE).json()["error"]["code"] == "job_not_found"
    answer = jobs_client.get(PATH.format(claim.job_id) + "/events", headers=SSE | {"last-event-id": "nonsense"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, "after")


@pytest.mark.parametrize(
    ("path", "after"),
    [
        ("events", "ftevent-{}-99999999999999999999-0"),
        ("events", "ftevent-{}-1-18446744073709551615"),
        ("events", "ftevent-{}-0-0"),
        ("events", "ftevent-{}-\u0661-1"),
        ("checkpoints", "ftckpt-{}-" + "9" * 5000),
    ],
)
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_place_that_no_list_has(jobs_client: TestClient, claim: Claim, path: str, after: str, order: str) -> None:
    given = {"after": after.format(claim.job_id.removeprefix("ftjob-")), "order": order}
    answer = jobs_client.get(PATH.format(claim.job_id) + "/" + path, params=given)
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, "after")


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_places_before_and_behind_all(jobs_client: TestClient, claim: Claim, order: str) -> None:
    for place in ("1-0", "9" * 19 + "-" + "9" * 19):
        given = {"after": f"ftevent-{claim.job_id.removeprefix('ftjob-')}-{place}", "order": order}
        assert jobs_client.get(PATH.format(claim.job_id) + "/events", params=given).status_code == 200


def test_metrics_are_series(jobs_client: TestClient, jobs: JobSystem, claim: Claim) -> None:
    for step in range(1, 1001):
        jobs.queue.append_event(
            claim, f"Step {step}", type="metrics", data={"step": step, "train_loss": 1 / step, "epoch": 0.5}
        )
    path = PATH.format(claim.job_id) + "/metrics"
    everything = jobs_client.get(path).json()["data"]
    assert [(s["key"], s["count"], len(s["points"])) for s in everything] == [
        ("epoch", 1000, 500),
        ("train_loss", 1000, 500),
    ]
    few = jobs_client.get(path, params={"keys": "train_loss,eval_loss", "max_points": 10}).json()["data"]
    points = few[0]["points"]
    assert [s["key"] for s in few] == ["train_loss", "eval_loss"] and few[1]["points"] == []
    assert (points[0]["step"], points[0]["value"], points[-1]["step"], len(points)) == (1, 1.0, 1000, 10)
    assert abs(points[0]["time"] - time.time()) < 600
    table = jobs_client.get(f"{path}.csv")
    assert table.headers["content-type"].startswith("text/csv")
    assert len(table.text.splitlines()) == 1001
    assert table.text.startswith("step,time,epoch,train_loss\n1,")
    assert jobs_client.get(path, params={"max_points": 2}).json()["error"]["param"] == "max_points"
    assert jobs_client.get(PATH.format("ftjob-0") + "/metrics").status_code == 404


@pytest.fixture
def log(tmp_path: Path, claim: Claim) -> Path:
    """The log of the first attempt: ten lines, "line 0" to "line 9"."""
    path = tmp_path / "var" / "jobs" / claim.job_id / "attempt-1.log"
    path.parent.mkdir(parents=True)
    path.write_text("".join(f"line {n}\n" for n in range(10)))
    return path


def test_a_log_in_whole_and_in_part(jobs_client: TestClient, claim: Claim, log: Path) -> None:
    path = PATH.format(claim.job_id) + "/logs"
    whole = jobs_client.get(path)
    assert whole.text == log.read_text()
    assert whole.headers["content-type"].startswith("text/plain")
    assert jobs_client.get(path, params={"tail": 2}).text == "line 8\nline 9\n"
    assert jobs_client.get(path, params={"tail": 0}).text == ""
    assert jobs_client.get(path, params={"tail": 99, "attempt": 1}).text == log.read_text()
    for given, text in (
        ("bytes=0-3", "line"),
        ("bytes=-2", "9\n"),
        ("bytes=63-", "line 9\n"),
        ("bytes=63-999", "line 9\n"),
    ):
        part = jobs_client.get(path, headers={"range": given})
        assert (part.status_code, part.text) == (206, text)
    assert part.headers["content-range"] == "bytes 63-69/70"
    beyond = jobs_client.get(path, headers={"range": "bytes=70-"})
    assert (beyond.status_code, beyond.json()["error"]["code"]) == (416, "range_not_satisfiable")
    for whole_anyway in ("bytes=0-1,3-4", "lines=1-2", "bytes=5-2"):
        assert jobs_client.get(path, headers={"range": whole_anyway}).status_code == 200


def test_the_tail_of_a_huge_log_is_bounded(jobs_client: TestClient, claim: Claim, log: Path) -> None:
    log.write_bytes(b"x" * (2 * MAX_TAIL_BYTES))
    assert len(jobs_client.get(PATH.format(claim.job_id) + "/logs", params={"tail": 1}).content) == MAX_TAIL_BYTES


def test_logs_that_are_not_there(jobs_client: TestClient, jobs: JobSystem, redis: Client, claim: Claim) -> None:
    waiting = jobs.create(make_spec(redis))
    for job_id, message in ((waiting.id, "has not begun"), (claim.job_id, "not on this machine")):
        answer = jobs_client.get(PATH.format(job_id) + "/logs")
        assert answer.status_code == 404 and message in answer.json()["error"]["message"]
    for attempt in ("0", "9" * 300):
        answer = jobs_client.get(PATH.format(claim.job_id) + "/logs", params={"attempt": attempt})
        assert (answer.status_code, answer.json()["error"]["param"]) == (422, "attempt")


def test_a_log_is_followed_until_the_attempt_ends(url: str, jobs: JobSystem, claim: Claim, log: Path) -> None:
    path = url + PATH.format(claim.job_id) + "/logs?follow=true&tail=1"
    with http.stream("GET", path, timeout=PATIENCE) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "line 9"
        with log.open("a") as file:
            file.write("the last words\n")
        jobs.queue.succeed(claim, "tiny@1")
        assert list(lines) == ["the last words"]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


SECRET = "whsec_" + "c2VjcmV0" * 4  # 24 bytes


def create(client: TestClient, **changes: Any) -> Any:
    file = client.post("/v1/files", files={"file": ("a.txt", b"The lions hunt.\n\nThe deer run.\n")}).json()
    body = {"model": "bert-tiny", "training_file": file["id"], **changes}
    return client.post("/v1/pretraining/jobs", json=body)


def test_a_jobs_webhook_and_its_deliveries(jobs_client: TestClient, jobs: JobSystem) -> None:
    webhook = {"url": "https://example.org/hook", "secret": SECRET, "events": ["cancelled"]}
    job = create(jobs_client, webhook=webhook).json()
    assert job["webhook"] == {"url": "https://example.org/hook", "events": ["cancelled"]}
    assert SECRET not in str(jobs.get(job["id"]).spec.request)
    path = PATH.format(job["id"]) + "/webhooks"
    assert jobs_client.get(path).json()["data"] == []
    jobs_client.post(PATH.format(job["id"]) + "/cancel")
    [delivery] = jobs_client.get(path).json()["data"]
    assert (delivery["type"], delivery["status"], delivery["attempts"]) == ("fine_tuning.job.cancelled", "pending", 0)


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"url": "ftp://example.org"}, "webhook.url"),
        ({"url": "https://user:hunter2@example.org"}, "webhook.url"),
        ({"url": "http://example.org:http/"}, "webhook.url"),
        ({"url": "http://127.0.0.1/"}, "webhook.url"),
        ({"url": "http://[::1]:8000/"}, "webhook.url"),
        ({"url": "http://localhost/"}, "webhook.url"),
        ({"url": "http://127.1/"}, "webhook.url"),
        ({"url": "http://[fec0::1]/"}, "webhook.url"),
        ({"url": "http://[64:ff9b:1::a00:1]/"}, "webhook.url"),
        ({"url": "http://[::127.0.0.1]/"}, "webhook.url"),
        ({"url": "http://a b/"}, "webhook.url"),
        ({"url": "http://a..b/"}, "webhook.url"),
        ({"url": "http://a\0b/"}, "webhook.url"),
        ({"url": "http:///path"}, "webhook.url"),
        ({"url": "http://example.org:25/"}, "webhook.url"),
        ({"secret": "hunter2"}, "webhook.secret"),
        ({"events": ["done"]}, "webhook.events.0"),
    ],
)
def test_webhooks_that_are_refused(jobs_client: TestClient, changes: dict[str, Any], param: str) -> None:
    answer = create(jobs_client, webhook={"url": "https://example.org/", "secret": SECRET, **changes})
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, param)
    assert "hunter2" not in answer.text


def test_the_operator_may_allow_private_addresses_and_has_a_webhook_of_his_own(
    make_client: Callable[..., TestClient], jobs: JobSystem, files: FileStore
) -> None:
    operator = {"webhook_url": "http://127.0.0.1/", "webhook_secret": SECRET, "webhook_allow_private": True}
    client = make_client(jobs=jobs, files=files, **operator)
    assert create(client, webhook={"url": "http://127.0.0.1/mine", "secret": SECRET}).status_code == 200
    job = create(client).json()
    assert job["webhook"] is None
    assert jobs.webhooks.deliveries(job["id"])[0].type == "fine_tuning.job.queued"
