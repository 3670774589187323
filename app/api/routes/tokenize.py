"""POST /v1/tokenize: a text as the model reads it."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Body

from app.api.body import StrictJsonRoute
from app.api.deps import ServicesDep
from app.api.schemas.common import usage
from app.api.schemas.tokenize import EXAMPLES, TokenizedObject, TokenizeRequest, TokenizeResponse, TokenObject
from app.errors import TaskNotSupported

router = APIRouter(route_class=StrictJsonRoute, tags=["Inference"])


@router.post("/v1/tokenize")
async def tokenize(
    body: Annotated[TokenizeRequest, Body(openapi_examples=EXAMPLES)], services: ServicesDep
) -> TokenizeResponse:
    """Token ids and strings with character offsets."""
    services.check_inputs(len(body.input))
    engine = await services.pool.get(body.model)
    split = getattr(engine.objective, "tokenize", None)
    if split is None:
        raise TaskNotSupported(f"{engine.entry.id} reads no text", param="model")

    def tokenize_all() -> list[TokenizedObject]:
        return [
            TokenizedObject(
                index=index,
                tokens=[
                    TokenObject(id=t.id, text=t.text, special=t.special, start=t.start, stop=t.stop)
                    for t in split(text, body.add_special_tokens)
                ],
            )
            for index, text in enumerate(body.input)
        ]

    data = await asyncio.to_thread(tokenize_all)
    return TokenizeResponse(
        model=engine.entry.id, data=data, usage=usage(sum(len(tokenized.tokens) for tokenized in data))
    )
