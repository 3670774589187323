"""POST /v1/fill-mask: the most probable words for every mask."""

from typing import Annotated

from fastapi import APIRouter, Body, Request

from app.api.body import StrictJsonRoute
from app.api.deps import ServicesDep
from app.api.disconnect import while_connected
from app.api.schemas.common import usage
from app.api.schemas.fill_mask import (
    EXAMPLES,
    CandidateObject,
    FilledObject,
    FillMaskRequest,
    FillMaskResponse,
    MaskObject,
    SequenceObject,
    TokenObject,
)
from app.objectives.text.items import FillMaskItem, FillMaskResult
from app.types import Task

router = APIRouter(route_class=StrictJsonRoute, tags=["Inference"])


@router.post("/v1/fill-mask", response_model_exclude_none=True)
async def fill_mask(
    body: Annotated[FillMaskRequest, Body(openapi_examples=EXAMPLES)], request: Request, services: ServicesDep
) -> FillMaskResponse:
    """Write `[MASK]`, or the model's own mask token, wherever a word is to be found."""
    services.check_inputs(len(body.input))
    services.check_top_k(body.top_k)
    engine = await services.pool.get(body.model)
    items = [
        FillMaskItem(
            text=text,
            top_k=body.top_k,
            targets=body.targets,
            num_sequences=body.num_sequences,
            truncate=body.truncate,
            truncation_side=body.truncation_side,
            max_masks=services.settings.max_masks,
        )
        for text in body.input
    ]
    results: list[FillMaskResult] = await while_connected(request, engine.submit(Task.FILL_MASK, items))
    return FillMaskResponse(
        model=engine.entry.id,
        data=[
            FilledObject(index=index, masks=_masks(result), sequences=_sequences(result))
            for index, result in enumerate(results)
        ],
        usage=usage(sum(result.tokens for result in results)),
    )


def _masks(result: FillMaskResult) -> list[MaskObject]:
    return [
        MaskObject(
            position=mask.position,
            start=mask.start,
            end=mask.end,
            candidates=[
                CandidateObject(score=c.score, token=c.token, token_str=c.token_str, sequence=c.sequence)
                for c in mask.candidates
            ],
        )
        for mask in result.masks
    ]


def _sequences(result: FillMaskResult) -> list[SequenceObject] | None:
    if result.sequences is None:
        return None
    return [
        SequenceObject(
            sequence=each.sequence,
            log_prob=each.log_prob,
            tokens=[TokenObject(token=token, token_str=text) for token, text in each.tokens],
        )
        for each in result.sequences
    ]
