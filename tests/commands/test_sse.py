import httpx
import pytest

from app.commands.client import ApiClient, ServerUnreachable
from app.commands.sse import Message, read_messages
from app.errors import AppError

STREAM = """\
retry: 1000

: a comment

id: e1
event: metrics
data: {"a":
data: 1}

data:no space
unknown: field

id: e2
event: end
data: cut off"""


def test_the_messages_of_a_stream() -> None:
    assert list(read_messages(STREAM.splitlines())) == [
        Message("metrics", '{"a":\n1}', "e1"),
        Message("message", "no space", "e1"),
    ]


def client(handler: httpx.Response | Exception, seen: list[httpx.Request] | None = None) -> ApiClient:
    def answer(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request)
        if isinstance(handler, Exception):
            raise handler
        return handler

    return ApiClient("http://server", transport=httpx.MockTransport(answer))


def test_a_stream_is_asked_for_behind_the_last_event() -> None:
    seen: list[httpx.Request] = []
    with client(httpx.Response(200, text=STREAM), seen) as api:
        assert [m.event for m in api.stream("/events", "e0")] == ["metrics", "message"]
        list(api.stream("/events"))
    assert [r.headers.get("last-event-id") for r in seen] == ["e0", None]
    assert seen[0].headers["accept"] == "text/event-stream"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(503, json={"error": {"message": "Redis does not answer"}}), ServerUnreachable),
        (httpx.ReadError("cut"), ServerUnreachable),
        (httpx.Response(404, json={"error": {"message": "no job"}}), AppError),
    ],
)
def test_streams_that_cannot_be_had(answer: httpx.Response | Exception, error: type[Exception]) -> None:
    with client(answer) as api, pytest.raises(error) as raised:
        list(api.stream("/events"))
    assert type(raised.value) is error
