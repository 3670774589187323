"""POST /v1/classify: labels of inputs, with probabilities."""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from app.api.deps import InferenceDep
from app.api.inference_route import respond
from app.api.openapi import errors, ndjson_body
from app.api.schemas.classify import EXAMPLES, ClassifyOptions, ClassifyRequest, ClassifyResponse
from app.api.streams import streaming

router = APIRouter(route_class=streaming(ClassifyOptions), tags=["Inference"])


@router.post(
    "/v1/classify",
    response_model=ClassifyResponse,
    responses=errors(404),
    openapi_extra=ndjson_body(ClassifyOptions, [{}]),
)
async def classify(
    body: Annotated[ClassifyRequest, Body(openapi_examples=EXAMPLES)], request: Request, inference: InferenceDep
) -> Response:
    """Returns the most probable labels of each input, best first.

    Inputs are those of `/v1/embeddings`: texts, lists of token ids, or media as data URIs or typed inputs. A body of
    `application/x-ndjson` is a stream of inputs, a line each; options are then parameters of the query. A model can
    classify if its `tasks` include `classify`.
    """
    return await respond(request, inference, body)
