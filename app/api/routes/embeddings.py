"""POST /v1/embeddings: OpenAI's route, with Cloze's own options beside it."""

import base64
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any

import numpy as np
import orjson
from fastapi import APIRouter, Body, Request, Response

from app.api.answer_size import NUMBER, fragment, serialize
from app.api.deps import Services, ServicesDep
from app.api.media_inputs import fetch_all
from app.api.openapi import errors, ndjson_body
from app.api.schemas.common import usage
from app.api.schemas.embeddings import EXAMPLES, EmbeddingOptions, EmbeddingsRequest, EmbeddingsResponse
from app.api.wire.disconnect import while_connected
from app.api.wire.ndjson import LineWork, also_ndjson, answer_lines, one_input, options
from app.modalities.embedding import EmbedItem, EmbedResult
from app.types import Task


async def _stream(request: Request) -> Response:
    services: Services = request.app.state.services
    asked = options(request, EmbeddingOptions)
    encode = _base64 if asked.encoding_format == "base64" else np.ascontiguousarray

    async def item(value: Any) -> EmbedItem:
        return EmbedItem(
            input=await one_input(services, value),
            pooling=asked.pooling,
            normalize=asked.normalize,
            truncate=asked.truncate,
            truncation_side=asked.truncation_side,
            dimensions=asked.dimensions,
        )

    def fields(result: EmbedResult) -> dict[str, Any]:
        return {
            "object": "embedding",
            "embedding": encode(result.vector),
            "usage": usage(result.tokens).model_dump(),
        }

    return await answer_lines(request, services, asked.model, LineWork(Task.EMBED, item, fields))


router = APIRouter(route_class=also_ndjson(_stream), tags=["Inference"])


@router.post(
    "/v1/embeddings",
    response_model=EmbeddingsResponse,
    responses=errors(404),
    openapi_extra=ndjson_body(EmbeddingOptions, [{}]),
)
async def embeddings(
    body: Annotated[EmbeddingsRequest, Body(openapi_examples=EXAMPLES)], request: Request, services: ServicesDep
) -> Response:
    """One vector an input: a text, a list of integers (token ids), or media as a data URI or typed input.

    With `output` windows, one a window of it. A body of `application/x-ndjson` is a stream of inputs, a line
    each: a string, or an object with `input` and `id`; options are then parameters of the query.
    """
    services.check_inputs(len(body.input))
    inputs = await fetch_all(services, body.input, request)
    engine = await services.pool.get(body.model)
    items = [
        EmbedItem(
            input=each,
            pooling=body.pooling,
            normalize=body.normalize,
            truncate=body.truncate,
            truncation_side=body.truncation_side,
            dimensions=body.dimensions,
            output=body.output,
        )
        for each in inputs
    ]
    results: list[EmbedResult] = await while_connected(request, engine.submit(Task.EMBED, items))
    size = NUMBER * sum(result.vector.size for result in results)
    content = await serialize(partial(_answer, engine.entry.id, body, results), size)
    return Response(content, media_type="application/json")


def _answer(model: str, body: EmbeddingsRequest, results: Sequence[EmbedResult]) -> bytes:
    encode = _base64 if body.encoding_format == "base64" else _written
    answer = {
        "object": "list",
        "data": [
            entry for index, result in enumerate(results) for entry in _entries(index, result, body.output, encode)
        ],
        "model": model,
        "usage": usage(sum(result.tokens for result in results)).model_dump(),
    }
    return orjson.dumps(answer)


def _entries(index: int, result: EmbedResult, output: str, encode: Callable[[np.ndarray], Any]) -> list[dict[str, Any]]:
    """The input's own entry in `data`, or those of its windows."""
    entry = {"object": "embedding", "index": index}
    if output == "pooled":
        return [entry | {"embedding": encode(result.vector)}]
    spans = [{"start": start, "end": end} for start, end in result.times or ()] or [{}] * len(result.vector)
    return [
        entry | {"window": window, "embedding": encode(vector)} | span
        for window, (vector, span) in enumerate(zip(result.vector, spans, strict=True))
    ]


def _written(vector: np.ndarray) -> orjson.Fragment:
    """Written straight from the array: half a million numbers as Python objects would take longer than the model."""
    return fragment(np.ascontiguousarray(vector))


def _base64(vector: np.ndarray) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")
