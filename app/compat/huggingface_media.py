"""The pipelines of Hugging Face's dialect that classify pictures and sounds.

Hugging Face's client sends the file itself as the body or, if there are parameters, JSON with the file in base64.
"""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Annotated, Any

from fastapi import Request, Response
from pydantic import BeforeValidator, Field

from app.api.inference_route import InferenceRoute
from app.api.media_inputs import media
from app.api.schemas.common import MAX_COUNT, JsonBody
from app.api.wire.content_type import JSON, media_type
from app.api.wire.disconnect import HttpClient
from app.compat.huggingface_body import HubBody, Json, Pipeline, lower, write_json
from app.errors import AppError, EmptyInput
from app.inference.client import Client
from app.inference.service import Answer, Inference, OpenModel
from app.modalities.classification import ClassifyItem, ClassifyResult
from app.types import Activation, Task
from app.validation import validate


class MediaClassificationParameters(JsonBody):
    top_k: Annotated[int, Field(strict=True, ge=1, le=MAX_COUNT)] | None = None
    function_to_apply: Annotated[Activation, BeforeValidator(lower)] | None = None


def _read_file(value: object) -> object:
    if isinstance(value, bytes) and value:
        return value
    try:
        return media(value)
    except AppError as error:
        error.param = "inputs"
        raise


class MediaClassificationBody(HubBody):
    inputs: Annotated[Any, BeforeValidator(_read_file)]
    parameters: MediaClassificationParameters | None = None


async def _classify(model: OpenModel, raw: Json, client: Client) -> bytes:
    """A list of labels, best first. Without `top_k`, all labels, as far as the server's limit allows."""
    body = validate(MediaClassificationBody, raw)
    parameters = body.parameters or MediaClassificationParameters()
    to_item = partial(ClassifyItem, top_k=parameters.top_k or model.max_labels)

    def write(answer: Answer[ClassifyResult]) -> bytes:
        return write_json((result.rank(parameters.function_to_apply) for result in answer.results), alone=True)

    names = {"top_k": "parameters.top_k", "input": "inputs"}
    return await model.run(Task.CLASSIFY, [body.inputs], client, to_item=to_item, write=write, names=names)


# The model decides which files it reads.
MEDIA_PIPELINES: dict[str, Pipeline] = {"image-classification": _classify, "audio-classification": _classify}


class PipelineRoute(InferenceRoute):
    """A route of pipelines, to which the body of a pipeline of media may be the file itself."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        plain = super().get_route_handler()

        async def either(request: Request) -> Response:
            run = MEDIA_PIPELINES.get(request.path_params.get("task", ""))
            if run is None or media_type(request.headers) == JSON:
                return await plain(request)
            inference: Inference = request.app.state.services.inference
            model = await inference.open(request.path_params["model_id"])
            content = await request.body()
            if not content:
                raise EmptyInput("the body is empty; expected a file, or a JSON object")
            return Response(await run(model, {"inputs": content}, HttpClient(request)), media_type=JSON)

        return either
