"""POST /v1/similarity and POST /v1/rerank: inputs compared by vectors or by a cross-encoder."""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from app.api.deps import InferenceDep
from app.api.inference_route import InferenceRoute
from app.api.openapi import errors
from app.api.schemas import rerank as reranking
from app.api.schemas import similarity as comparing
from app.api.schemas.rerank import RerankRequest, RerankResponse
from app.api.schemas.similarity import SimilarityRequest, SimilarityResponse
from app.api.wire.content_type import JSON
from app.api.wire.disconnect import HttpClient
from app.inference.comparing import compare_inputs, rank_documents

router = APIRouter(route_class=InferenceRoute, tags=["Inference"])


@router.post("/v1/similarity", response_model=SimilarityResponse, responses=errors(404))
async def similarity(
    body: Annotated[SimilarityRequest, Body(openapi_examples=comparing.EXAMPLES)],
    request: Request,
    inference: InferenceDep,
) -> Response:
    """Compares inputs: each of `source` with each of `targets`, or pairwise.

    The method is that of the model: vectors by a function such as the cosine, or the score of a cross-encoder.
    """
    opened = await inference.open(body.model)
    written = await compare_inputs(opened, body.to_sides(), HttpClient(request), body.to_options(), body.write_compared)
    return Response(written, media_type=JSON)


@router.post("/v1/rerank", response_model=RerankResponse, responses=errors(404))
async def rerank(
    body: Annotated[RerankRequest, Body(openapi_examples=reranking.EXAMPLES)],
    request: Request,
    inference: InferenceDep,
) -> Response:
    """Sorts documents by their relevance to a query, the most relevant first.

    The method is that of the model: a cross-encoder reads the query with each document, and other models compare
    vectors of both. Request and answer have the shape of Cohere's and Jina's.
    """
    opened = await inference.open(body.model)
    ranking = await rank_documents(
        opened, body.query, body.documents, HttpClient(request), body.to_options(), top_n=body.top_n
    )
    return Response(body.write_ranking(ranking), media_type=JSON)
