"""POST /v1/score: how probable a model finds each token of a text, and so the text."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Body, Request, Response

from app.api.body import StrictJsonRoute
from app.api.deps import ServicesDep
from app.api.disconnect import while_connected
from app.api.openapi import errors
from app.api.schemas.common import usage
from app.api.schemas.score import EXAMPLES, ScoreRequest, ScoreResponse
from app.objectives.text.items import ScoreItem, ScoreResult
from app.types import Task

router = APIRouter(route_class=StrictJsonRoute, tags=["Inference"])


@router.post("/v1/score", response_model=ScoreResponse, responses=errors(404))
async def score(
    body: Annotated[ScoreRequest, Body(openapi_examples=EXAMPLES)], request: Request, services: ServicesDep
) -> Response:
    """Pseudo-log-likelihood: each token is hidden in turn, which takes one row of a batch a token."""
    services.check_inputs(len(body.input))
    engine = await services.pool.get(body.model)
    items = [
        ScoreItem(
            text=text,
            method=body.method,
            top_k=body.top_k,
            truncate=body.truncate,
            truncation_side=body.truncation_side,
        )
        for text in body.input
    ]
    results: list[ScoreResult] = await while_connected(request, engine.submit(Task.SCORE, items))
    answer = {
        "object": "score",
        "model": engine.entry.id,
        "data": [_scored(index, result) for index, result in enumerate(results)],
        "usage": usage(sum(result.tokens for result in results)).model_dump(),
    }
    return Response(orjson.dumps(answer), media_type="application/json")


def _scored(index: int, result: ScoreResult) -> dict[str, Any]:
    return {
        "index": index,
        "log_likelihood": result.log_likelihood,
        "pseudo_perplexity": result.pseudo_perplexity,
        "tokens": result.scored,  # orjson writes dataclasses as objects of their fields
    }
