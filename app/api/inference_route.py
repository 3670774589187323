"""Routes that ask a model: how a body is checked before it is validated, and how it is answered."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

from fastapi import Request, Response

from app.api.wire.body import StrictJsonRoute
from app.api.wire.content_type import JSON
from app.api.wire.disconnect import HttpClient
from app.inference.limits import RequestLimits
from app.inference.service import Answer, Inference
from app.types import Task

_FIELDS = ("input", "inputs", "sentences", "pairs", "texts", "ids", "documents", "source", "targets")


class InferenceRoute(StrictJsonRoute):
    """Counts the inputs of a body before each of them is looked at: there may be a million."""

    def check(self, request: Request, value: Any) -> None:
        inference: Inference = request.app.state.services.inference
        _check_inputs(inference.limits, value)


def _check_inputs(limits: RequestLimits, value: Any) -> None:
    """Raises InvalidValue for a list of too many inputs. A list of numbers is one input."""
    if isinstance(value, dict):
        for name in _FIELDS:
            given = value.get(name)
            if isinstance(given, list) and given and type(given[0]) is not int:
                limits.check_inputs(len(given), name)
            _check_inputs(limits, given)


class TaskRequest(Protocol):
    """A body that asks for a task of a model."""

    task: ClassVar[Task]

    @property
    def model(self) -> str | None: ...

    @property
    def inputs(self) -> Sequence[Any]:
        """The inputs of the request, one item each."""

    def to_item(self, given: Any, /) -> Any:
        """Returns an item of the task. given: an input whose media are fetched."""

    def write(self, answer: Answer[Any], /) -> bytes:
        """Returns the answer's body, in JSON."""

    def headers(self, answer: Answer[Any], /) -> Mapping[str, str]:
        """Returns further headers of the answer."""


async def respond(request: Request, inference: Inference, body: TaskRequest) -> Response:
    """Answers a request for a task."""

    def write(answer: Answer[Any]) -> Response:
        return Response(body.write(answer), media_type=JSON, headers=dict(body.headers(answer)))

    return await inference.run(
        body.task, body.model, body.inputs, HttpClient(request), to_item=body.to_item, write=write
    )
