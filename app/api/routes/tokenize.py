"""POST /v1/tokenize: a text as the model reads it."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Body, Response

from app.api.answer_size import check_tokenize
from app.api.body import StrictJsonRoute
from app.api.deps import ServicesDep
from app.api.openapi import errors
from app.api.schemas.common import usage
from app.api.schemas.tokenize import EXAMPLES, TokenizedObject, TokenizeRequest, TokenizeResponse, TokenObject
from app.errors import TaskNotSupported

router = APIRouter(route_class=StrictJsonRoute, tags=["Inference"])


@router.post("/v1/tokenize", response_model=TokenizeResponse, responses=errors(404))
async def tokenize(
    body: Annotated[TokenizeRequest, Body(openapi_examples=EXAMPLES)], services: ServicesDep
) -> Response:
    """Token ids and strings with character offsets."""
    services.check_inputs(len(body.input))
    check_tokenize(body.input)
    engine = await services.pool.get(body.model)
    split = getattr(engine.objective, "tokenize", None)
    if split is None:
        raise TaskNotSupported(f"{engine.entry.id} reads no text", param="model")

    def answer() -> bytes:
        data = [
            TokenizedObject(
                index=index,
                tokens=[
                    TokenObject(id=t.id, text=t.text, special=t.special, start=t.start, end=t.stop, stop=t.stop)
                    for t in split(text, body.add_special_tokens)
                ],
            )
            for index, text in enumerate(body.input)
        ]
        tokens = usage(sum(len(tokenized.tokens) for tokenized in data))
        return TokenizeResponse(model=engine.entry.id, data=data, usage=tokens).model_dump_json().encode()

    # A model would be written on the event loop, which a million tokens hold for seconds.
    return Response(await asyncio.to_thread(answer), media_type="application/json")
