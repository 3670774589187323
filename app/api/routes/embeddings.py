"""POST /v1/embeddings: OpenAI's route, with further options."""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from app.api.deps import InferenceDep
from app.api.inference_route import respond
from app.api.openapi import errors, ndjson_body
from app.api.schemas.embedding_options import EmbeddingOptions
from app.api.schemas.embeddings import EXAMPLES, EmbeddingsRequest, EmbeddingsResponse
from app.api.streams import streaming

router = APIRouter(route_class=streaming(EmbeddingOptions), tags=["Inference"])


@router.post(
    "/v1/embeddings",
    response_model=EmbeddingsResponse,
    responses=errors(404),
    openapi_extra=ndjson_body(EmbeddingOptions, [{}]),
)
async def embeddings(
    body: Annotated[EmbeddingsRequest, Body(openapi_examples=EXAMPLES)], request: Request, inference: InferenceDep
) -> Response:
    """Returns one vector per input: a text, a list of token ids, or media as a data URI or typed input.

    With `output` windows, tokens, words or chunks, one for each of these in it. A body of
    `application/x-ndjson` is a stream of inputs, a line each: a string, or an object with `input` and `id`; options
    are then parameters of the query.
    """
    return await respond(request, inference, body)
