"""POST /v1/tokenize: the tokens of a text."""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from app.api.deps import InferenceDep, ServicesDep
from app.api.inference_route import InferenceRoute
from app.api.openapi import errors
from app.api.ownership import viewer_of
from app.api.schemas.tokenize import EXAMPLES, TokenizeRequest, TokenizeResponse, write_trial
from app.api.wire.content_type import JSON
from app.api.wire.disconnect import HttpClient, while_connected
from app.submission.tokenizer_trials import TrialServices, run_trial

router = APIRouter(route_class=InferenceRoute, tags=["Inference"])


@router.post("/v1/tokenize", response_model=TokenizeResponse, responses=errors(404))
async def tokenize(
    body: Annotated[TokenizeRequest, Body(openapi_examples=EXAMPLES)],
    request: Request,
    inference: InferenceDep,
    services: ServicesDep,
) -> Response:
    """Returns the token ids and strings of texts, with character offsets, and what the tokenizer loses.

    With `tokenizer`, a new one is trained on a sample as a job would.
    """
    if body.tokenizer is not None:
        files = services.files and services.files.seen_by(viewer_of(request.scope))
        trial = TrialServices(services.checkers, services.checking.hold, files)
        report, tokens = await while_connected(request, run_trial(body.to_trial(), trial))
        return Response(write_trial(report, tokens), media_type=JSON)
    content = await inference.tokenize(
        body.model,
        body.input,
        HttpClient(request),
        add_special_tokens=body.add_special_tokens,
        write=body.write,
    )
    return Response(content, media_type=JSON)
