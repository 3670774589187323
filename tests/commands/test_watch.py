import json
from collections.abc import Iterable, Iterator
from typing import Any, cast

import pytest

from app.commands.client import ApiClient, ServerUnreachable
from app.commands.sse import Message
from app.commands.watch import DETACHED, describe, follow, watch_job
from app.errors import AppError

PROGRESS = {"percent": 0.0, "step": 0, "total_steps": None, "tokens_per_second": None, "eta_seconds": None}


def job(status: str = "running", **progress: Any) -> dict[str, Any]:
    return {"id": "ftjob-1", "status": status, "fine_tuned_model": "mine@1", "progress": PROGRESS | progress}


def event(number: int, message: str = "", **data: float) -> dict[str, Any]:
    kind = "metrics" if data else "message"
    return {"id": f"e{number}", "level": "info", "type": kind, "message": message or f"event {number}", "data": data}


Said = tuple[str, dict[str, Any]]


class Script:
    """A client whose streams are given: each a list of what is said, which may end in an error."""

    url = "http://server"

    def __init__(self, *streams: list[Said | BaseException]) -> None:
        self.streams = list(streams)
        self.asked_after: list[str | None] = []
        self.slept = 0.0

    def get(self, path: str) -> Any:
        first = self.streams[0][0]
        if isinstance(first, AppError):
            raise first
        return {}

    def stream(self, path: str, last_id: str | None = None) -> Iterator[Message]:
        assert path == "/v1/pretraining/jobs/ftjob-1/events"
        self.asked_after.append(last_id)
        for said in self.streams.pop(0):
            if isinstance(said, BaseException):
                raise said
            last_id = said[1]["id"] if said[0] in ("message", "metrics") else last_id
            yield Message(said[0], json.dumps(said[1]), last_id)

    def sleep(self, seconds: float) -> None:
        self.slept += seconds

    @property
    def client(self) -> ApiClient:
        return cast(ApiClient, self)


def says(*events: dict[str, Any]) -> list[Said | BaseException]:
    return [(event["type"], event) for event in events]


def messages(said: Iterable[Said]) -> list[str]:
    return [data["message"] for kind, data in said if kind in ("message", "metrics")]


def test_events_are_followed_to_the_last_one() -> None:
    script = Script([*says(event(1), event(2)), ("job", job()), *says(event(3)), ("end", job("succeeded"))])
    said = list(follow(script.client, "ftjob-1", script.sleep))
    assert messages(said) == ["event 1", "event 2", "event 3"]
    assert said[-1] == ("end", job("succeeded"))
    assert (script.asked_after, script.slept) == ([None], 0.0)


def test_a_stream_that_breaks_is_resumed_where_it_was() -> None:
    away = ServerUnreachable("no server")
    script = Script(says(event(1)), [away], [*says(event(2)), away], [("end", job("succeeded"))])
    assert messages(follow(script.client, "ftjob-1", script.sleep)) == ["event 1", "event 2"]
    assert script.asked_after == [None, "e1", "e1", "e2"]


def test_a_server_that_stays_away_is_an_error() -> None:
    script = Script(*[[ServerUnreachable("no server")]] * 1000)
    with pytest.raises(ServerUnreachable):
        list(follow(script.client, "ftjob-1", script.sleep))
    assert script.slept == 60.0


@pytest.mark.parametrize(("status", "code"), [("succeeded", 0), ("failed", 1), ("cancelled", 1)])
def test_the_exit_code_tells_how_it_ended(status: str, code: int) -> None:
    script = Script([("end", job(status))])
    assert watch_job(script.client, "ftjob-1", as_json=False, sleep=script.sleep) == code


def test_what_is_written_to_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    events = [event(1, "Queued [not markup]"), event(2, "Step 5: training loss 2.0", train_loss=2.0)]
    script = Script([*says(*events), ("end", job("succeeded", percent=100.0))])
    assert watch_job(script.client, "ftjob-1", as_json=False, sleep=script.sleep) == 0
    out = capsys.readouterr().out.splitlines()
    assert out == ["Queued [not markup]", "Step 5: training loss 2.0", "mine@1 is published and served."]


def test_json_is_one_event_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    script = Script([*says(event(1), event(2, train_loss=2.0)), ("end", job("failed"))])
    assert watch_job(script.client, "ftjob-1", as_json=True, sleep=script.sleep) == 1
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        event(1),
        event(2, train_loss=2.0),
    ]


def test_ctrl_c_detaches_and_says_how_to_return(capsys: pytest.CaptureFixture[str]) -> None:
    script = Script([*says(event(1)), KeyboardInterrupt()])
    assert watch_job(script.client, "ftjob-1", as_json=True, sleep=script.sleep) == DETACHED
    error = capsys.readouterr().err
    assert "cloze jobs watch ftjob-1" in error and "cloze jobs cancel ftjob-1" in error


def test_an_unknown_job_is_an_error_at_once() -> None:
    with pytest.raises(AppError, match="no job"):
        watch_job(Script([AppError("no job 'x'")]).client, "x", as_json=False)


def test_the_line_under_the_bar() -> None:
    progress = job(step=120, total_steps=1000, tokens_per_second=12345.6, eta_seconds=125.4)
    assert describe(progress, {"train_loss": 3.2141, "eval_loss": 3.3, "eval_accuracy": 0.4123}) == (
        "step 120/1000 · loss 3.214 · held-out 3.300 · accuracy 41.2% · 12,346 tokens/s · 2:05 left"
    )
    assert describe(job(eta_seconds=7325), {}) == "step 0 · 2:02:05 left"
