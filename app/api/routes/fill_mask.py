"""POST /v1/fill-mask: the most probable words for every mask."""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from app.api.deps import InferenceDep
from app.api.inference_route import respond
from app.api.openapi import errors, ndjson_body
from app.api.schemas.fill_mask import EXAMPLES, FillMaskOptions, FillMaskRequest, FillMaskResponse
from app.api.streams import streaming

router = APIRouter(route_class=streaming(FillMaskOptions), tags=["Inference"])


@router.post(
    "/v1/fill-mask",
    response_model=FillMaskResponse,
    responses=errors(404),
    openapi_extra=ndjson_body(FillMaskOptions, [{"type": "string"}]),
)
async def fill_mask(
    body: Annotated[FillMaskRequest, Body(openapi_examples=EXAMPLES)], request: Request, inference: InferenceDep
) -> Response:
    """Predicts the most probable words for every mask. A mask is `[MASK]`, or the model's own mask token.

    A body of `application/x-ndjson` is a stream of texts, a line each: a string, or an object with `input` and
    `id`; options are then parameters of the query.
    """
    return await respond(request, inference, body)
