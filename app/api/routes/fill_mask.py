"""POST /v1/fill-mask: the most probable words for every mask."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response

from app.api.answer_size import MAX_FILL_MASK_LINE, check_fill_mask, written
from app.api.deps import Services, ServicesDep
from app.api.disconnect import while_connected
from app.api.ndjson import LineWork, also_ndjson, answer_lines, options
from app.api.openapi import errors, ndjson_body
from app.api.schemas.common import usage
from app.api.schemas.fill_mask import (
    EXAMPLES,
    CandidateObject,
    FilledObject,
    FillMaskOptions,
    FillMaskRequest,
    FillMaskResponse,
    MaskObject,
    SequenceObject,
    TokenObject,
)
from app.engine.engine import Engine
from app.errors import InvalidValue
from app.objectives.text.items import FillMaskItem, FillMaskResult
from app.types import Task


async def _stream(request: Request) -> Response:
    services: Services = request.app.state.services
    asked = options(request, FillMaskOptions)
    services.check_top_k(asked.top_k)
    mask_token = _mask_token(await services.pool.get(asked.model))

    async def item(value: Any) -> FillMaskItem:
        if not isinstance(value, str):
            raise InvalidValue("`input` should be a string", param="input")
        made = FillMaskItem(
            text=value,
            top_k=asked.top_k,
            num_sequences=asked.num_sequences,
            truncate=asked.truncate,
            truncation_side=asked.truncation_side,
            max_masks=services.settings.max_masks,
        )
        check_fill_mask(mask_token, [made], limit=MAX_FILL_MASK_LINE)
        return made

    def fields(result: FillMaskResult) -> dict[str, Any]:
        filled = FilledObject(index=0, masks=_masks(result), sequences=_sequences(result))
        return filled.model_dump(exclude={"index"}, exclude_none=True) | {"usage": usage(result.tokens).model_dump()}

    return await answer_lines(request, services, asked.model, LineWork(Task.FILL_MASK, item, fields))


router = APIRouter(route_class=also_ndjson(_stream), tags=["Inference"])


@router.post(
    "/v1/fill-mask",
    response_model=FillMaskResponse,
    responses=errors(404),
    openapi_extra=ndjson_body(FillMaskOptions, [{"type": "string"}]),
)
async def fill_mask(
    body: Annotated[FillMaskRequest, Body(openapi_examples=EXAMPLES)], request: Request, services: ServicesDep
) -> Response:
    """Write `[MASK]`, or the model's own mask token, wherever a word is to be found.

    A body of `application/x-ndjson` is a stream of texts, a line each: a string, or an object with `input` and
    `id`; options are then parameters of the query.
    """
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
    size = check_fill_mask(_mask_token(engine), items)
    results: list[FillMaskResult] = await while_connected(request, engine.submit(Task.FILL_MASK, items))
    content = await written(partial(_answer, engine.entry.id, results), size)
    return Response(content, media_type="application/json")


def _answer(model: str, results: Sequence[FillMaskResult]) -> bytes:
    answer = FillMaskResponse(
        model=model,
        data=[
            FilledObject(index=index, masks=_masks(result), sequences=_sequences(result))
            for index, result in enumerate(results)
        ],
        usage=usage(sum(result.tokens for result in results)),
    )
    return answer.model_dump_json(exclude_none=True).encode()


def _mask_token(engine: Engine) -> str | None:
    """None where the model has none, which its answer will say."""
    return getattr(engine.objective, "mask_token", None)


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
