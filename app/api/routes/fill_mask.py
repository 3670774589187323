"""POST /v1/fill-mask: the most probable words for every mask."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Body, Request, Response

from app.api.answer_size import MAX_FILL_MASK_LINE, check_fill_mask, fragment, serialize
from app.api.deps import Services, ServicesDep
from app.api.openapi import errors, ndjson_body
from app.api.schemas.common import usage
from app.api.schemas.fill_mask import EXAMPLES, FillMaskOptions, FillMaskRequest, FillMaskResponse
from app.api.wire.disconnect import while_connected
from app.api.wire.ndjson import LineWork, also_ndjson, answer_lines, options
from app.errors import InvalidValue
from app.modalities.text.items import FillMaskItem, FillMaskResult
from app.serving.engine import Engine
from app.types import Task

_FEW = 10  # candidates of a mask that are written in far less than a millisecond


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
        return _filled(result) | {"usage": usage(result.tokens).model_dump()}

    work = LineWork(Task.FILL_MASK, item, fields, large=asked.top_k > _FEW)
    return await answer_lines(request, services, asked.model, work)


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

    async def work() -> bytes:
        async with services.answers.taken(size):
            results = await engine.submit(Task.FILL_MASK, items)
            return await serialize(partial(_answer, engine.entry.id, results), size)

    return Response(await while_connected(request, work()), media_type="application/json")


def _answer(model: str, results: Sequence[FillMaskResult]) -> bytes:
    answer = {
        "object": "fill_mask",
        "model": model,
        "data": [{"index": index} | _filled(result) for index, result in enumerate(results)],
        "usage": usage(sum(result.tokens for result in results)).model_dump(),
    }
    return orjson.dumps(answer)


def _filled(result: FillMaskResult) -> dict[str, Any]:
    """A result as FilledObject describes it; orjson writes dataclasses as objects of their fields."""
    filled: dict[str, Any] = {"masks": list(map(fragment, result.masks))}
    if result.sequences is not None:
        filled["sequences"] = [
            {
                "sequence": each.sequence,
                "log_prob": each.log_prob,
                "tokens": [{"token": token, "token_str": text} for token, text in each.tokens],
            }
            for each in result.sequences
        ]
    return filled


def _mask_token(engine: Engine) -> str | None:
    """None where the model has none, which its answer will say."""
    return getattr(engine.objective, "mask_token", None)
