"""POST /v1/tokenize: a text as the model reads it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Body, Request, Response

from app.api.answer_size import check_tokenize
from app.api.deps import ServicesDep
from app.api.inference_route import InferenceRoute
from app.api.openapi import errors
from app.api.schemas.common import usage
from app.api.schemas.tokenize import EXAMPLES, TokenizeRequest, TokenizeResponse
from app.api.wire.disconnect import while_connected
from app.errors import TaskNotSupported
from app.modalities.text.items import TokenInfo
from app.serving.locating import of_item

router = APIRouter(route_class=InferenceRoute, tags=["Inference"])

_PART = 10_000  # tokens that are held and written at once


@router.post("/v1/tokenize", response_model=TokenizeResponse, responses=errors(404))
async def tokenize(
    body: Annotated[TokenizeRequest, Body(openapi_examples=EXAMPLES)], request: Request, services: ServicesDep
) -> Response:
    """Token ids and strings with character offsets."""
    services.check_inputs(len(body.input))
    check_tokenize(body.input)
    engine = await services.pool.get(body.model)
    split = getattr(engine.objective, "tokenize", None)
    if split is None:
        raise TaskNotSupported(f"{engine.entry.id} reads no text", param="model")
    over = threading.Event()
    answer = partial(_answer, engine.entry.id, partial(split, add_special_tokens=body.add_special_tokens), body, over)

    async def work() -> bytes:
        async with services.tokenizing.taken():
            # On a thread: the event loop would stand still for seconds while it writes a million tokens.
            return await asyncio.to_thread(answer)

    try:
        return Response(await while_connected(request, work()), media_type="application/json")
    finally:
        over.set()  # threads cannot be cancelled


def _answer(
    model: str, split: Callable[[str], Iterator[TokenInfo]], body: TokenizeRequest, over: threading.Event
) -> bytes:
    """Stops once `over` is set: nobody reads the answer then."""
    data: list[dict[str, Any]] = []
    count = 0
    for index, text in enumerate(body.input):
        parts = []
        with of_item(index, len(body.input)):
            tokens = split(text)
            while part := [] if over.is_set() else list(islice(tokens, _PART)):
                count += len(part)
                # No other thread runs while orjson writes.
                parts.append(orjson.dumps([_token(token) for token in part])[1:-1])
        data.append({"index": index, "tokens": orjson.Fragment(b"[" + b",".join(parts) + b"]")})
    answer = {"object": "list", "model": model, "data": data, "usage": usage(count).model_dump()}
    return orjson.dumps(answer)


def _token(token: TokenInfo) -> dict[str, Any]:
    return {
        "id": token.id,
        "text": token.text,
        "special": token.special,
        "start": token.start,
        "end": token.stop,
        "stop": token.stop,
    }
