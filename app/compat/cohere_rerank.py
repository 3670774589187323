"""The dialect of Cohere's second rerank route. `/v1/rerank` is Cloze's own, in the shape of Cohere's first."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Body, Request, Response
from pydantic import BaseModel, Field

from app.api.deps import InferenceDep
from app.api.inference_route import InferenceRoute
from app.api.openapi import errors
from app.api.schemas.common import MAX_COUNT, JsonBody, Model
from app.api.schemas.rerank import Documents
from app.api.wire.content_type import JSON
from app.api.wire.disconnect import HttpClient
from app.inference.compared import CompareOptions
from app.inference.comparing import rank_documents


class CohereRerankBody(JsonBody):
    model: Model = None
    query: str = Field(description="Text that the documents are compared with")
    documents: Documents = Field(description="Texts")
    top_n: Annotated[int, Field(ge=1, le=MAX_COUNT)] | None = Field(
        None, description="Number of documents in the answer; all by default"
    )
    priority: Annotated[int, Field(ge=0, le=999)] | None = Field(None, description="Accepted, without effect")


class CohereRank(BaseModel):
    index: int = Field(description="Index of the document in the request, counted from 0")
    relevance_score: float = Field(description="Score of the document; a higher one is more relevant")


class CohereRerankResponse(BaseModel):
    id: str = Field(description="Id of the request")
    results: list[CohereRank] = Field(description="Documents, the most relevant first")
    meta: dict[str, Any] = Field(description="Version of the API, and the tokens that the model read")


router = APIRouter(route_class=InferenceRoute, tags=["Cohere"])
_EXAMPLE = {
    "two": {
        "value": {
            "query": "Where do lions live?",
            "documents": ["Lions hunt in the savanna.", "Water boils at 100 degrees."],
            "top_n": 1,
        }
    }
}


@router.post("/v2/rerank", response_model=CohereRerankResponse, responses=errors(404))
async def rerank(
    body: Annotated[CohereRerankBody, Body(openapi_examples=_EXAMPLE)], request: Request, inference: InferenceDep
) -> Response:
    """Returns the documents in the order of their relevance to the query. A document that is too long is cut."""
    ranking = await rank_documents(
        await inference.open(body.model),
        body.query,
        body.documents,
        HttpClient(request),
        CompareOptions(truncate=True),
        top_n=body.top_n,
    )
    content = {
        "id": request.scope["state"]["request_id"],
        "results": [{"index": index, "relevance_score": score} for index, score in ranking.documents],
        "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": ranking.tokens}},
    }
    return Response(orjson.dumps(content), media_type=JSON)
