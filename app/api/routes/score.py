"""POST /v1/score: the probabilities of a text's tokens, and of the text, under a model."""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from app.api.deps import InferenceDep
from app.api.inference_route import InferenceRoute, respond
from app.api.openapi import errors
from app.api.schemas.score import EXAMPLES, ScoreRequest
from app.api.schemas.score_answers import ScoreResponse

router = APIRouter(route_class=InferenceRoute, tags=["Inference"])


@router.post("/v1/score", response_model=ScoreResponse, responses=errors(404))
async def score(
    body: Annotated[ScoreRequest, Body(openapi_examples=EXAMPLES)], request: Request, inference: InferenceDep
) -> Response:
    """Computes the pseudo-log-likelihood of texts. Each token is masked in turn, so each token takes one row.

    With `pairs` or `candidates`, texts are compared. With `variants`, substitutions of letters are scored.
    """
    return await respond(request, inference, body)
