"""POST /v1/score: how probable a model finds each token of a text, and so the text."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Body, Request, Response

from app.api.answer_size import fragment, serialize
from app.api.deps import ServicesDep
from app.api.inference_route import InferenceRoute
from app.api.openapi import errors
from app.api.schemas.common import usage
from app.api.schemas.score import EXAMPLES, ScoreRequest, ScoreResponse
from app.api.wire.disconnect import while_connected
from app.modalities.text.items import ScoreItem, ScoreResult
from app.types import Task

router = APIRouter(route_class=InferenceRoute, tags=["Inference"])

_TOKEN, _CANDIDATE = 150, 70  # characters of an answer that a token takes, and one of its candidates


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
    size = sum(len(result.scored) for result in results) * (_TOKEN + _CANDIDATE * body.top_k)
    content = await serialize(partial(_answer, engine.entry.id, results), size)
    return Response(content, media_type="application/json")


def _answer(model: str, results: Sequence[ScoreResult]) -> bytes:
    answer = {
        "object": "score",
        "model": model,
        "data": [_scored(index, result) for index, result in enumerate(results)],
        "usage": usage(sum(result.tokens for result in results)).model_dump(),
    }
    return orjson.dumps(answer)


def _scored(index: int, result: ScoreResult) -> dict[str, Any]:
    return {
        "index": index,
        "log_likelihood": result.log_likelihood,
        "pseudo_perplexity": result.pseudo_perplexity,
        "tokens": fragment(result.scored),  # orjson writes dataclasses as objects of their fields
    }
