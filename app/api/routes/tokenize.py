"""POST /v1/tokenize: the tokens of a text."""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from app.api.deps import InferenceDep
from app.api.inference_route import InferenceRoute
from app.api.openapi import errors
from app.api.schemas.tokenize import EXAMPLES, TokenizeRequest, TokenizeResponse
from app.api.wire.content_type import JSON
from app.api.wire.disconnect import HttpClient

router = APIRouter(route_class=InferenceRoute, tags=["Inference"])


@router.post("/v1/tokenize", response_model=TokenizeResponse, responses=errors(404))
async def tokenize(
    body: Annotated[TokenizeRequest, Body(openapi_examples=EXAMPLES)], request: Request, inference: InferenceDep
) -> Response:
    """Returns the token ids and strings of texts, with character offsets."""
    content = await inference.tokenize(
        body.model,
        body.input,
        HttpClient(request),
        add_special_tokens=body.add_special_tokens,
        write=body.write,
    )
    return Response(content, media_type=JSON)
