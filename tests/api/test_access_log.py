import json
import logging
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from app.api.middleware.request_id import RequestIdMiddleware
from app.system.log_format import JsonFormatter
from tests.api.conftest import FULL, MakeClient
from tests.fakes.objective import MASK


def logged(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The fields of the lines of the access log."""
    return [record.fields for record in caplog.records if record.name == "app.access"]  # type: ignore[attr-defined]


def test_a_request_gets_a_line_with_its_model_and_inputs(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    client = make_client(access_log=True)
    answer = client.post(
        "/v1/fill-mask?key=hidden",
        json={"input": [f"secret {MASK}", MASK]},
        headers={"x-request-id": "mine-1", "authorization": "Bearer secret"},
    )
    client.get(f"/v1/models/{FULL}")

    first, second = logged(caplog)
    assert first.pop("ms") >= 0
    assert first == {
        "request_id": "mine-1",
        "method": "POST",
        "route": "/v1/fill-mask",
        "status": 200,
        "bytes": len(answer.content),
        "model": f"{FULL}@1",
        "inputs": 2,
    }
    assert second["route"] == "/v1/models/{model_id:path}"
    assert "model" not in second and "inputs" not in second
    assert "secret" not in caplog.text and "hidden" not in caplog.text


def test_refusals_have_the_request_id_of_their_response(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    client = make_client(access_log=True, api_keys=("k",))
    answers = [
        client.get("/v1/models", headers={"x-request-id": "a b"}),  # malformed, so a new one is made
        client.get("/no%0Awhere", headers={"authorization": "Bearer k", "x-request-id": "x" * 129}),
    ]
    for answer, line in zip(answers, logged(caplog), strict=True):
        assert line["request_id"] == answer.headers["x-request-id"]
        assert len(line["request_id"]) == 32
        assert (line["status"], line["route"]) == (answer.status_code, "unmatched")
    first, second = logged(caplog)
    assert (first["error"], second["error"]) == ("invalid_api_key", "not_found")
    assert "key_id" not in first and second["key_id"] == "operator"


def test_streams_count_their_lines(make_client: MakeClient, caplog: pytest.LogCaptureFixture) -> None:
    client = make_client(access_log=True)
    body = "".join(f'{{"input": "{MASK} {n}"}}\n' for n in range(40))
    answer = client.post("/v1/fill-mask", content=body, headers={"content-type": "application/x-ndjson"})
    [line] = logged(caplog)
    assert (line["model"], line["inputs"], line["bytes"]) == (f"{FULL}@1", 40, len(answer.content))


@pytest.mark.parametrize("in_log", [True, False])
def test_json_lines_of_a_request_have_its_id(in_log: bool) -> None:
    lines: list[dict[str, Any]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        record = logging.LogRecord("app", logging.INFO, __file__, 1, "inside", (), None)
        lines.append(json.loads(JsonFormatter().format(record)))
        await PlainTextResponse("ok")(scope, receive, send)

    TestClient(RequestIdMiddleware(app, in_log=in_log)).get("/", headers={"x-request-id": "mine-2"})
    assert [line.get("request_id") for line in lines] == ["mine-2" if in_log else None]


def test_it_is_off_unless_asked_for(make_client: MakeClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    make_client().get("/health")
    assert not logged(caplog)
    make_client(log_level="debug").get("/health")
    assert logged(caplog)
