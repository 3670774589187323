"""The routes at the root for clients that add no path, or only `/embeddings`, to the address that they are given."""

from fastapi import APIRouter, Request, Response

from app.api.deps import InferenceDep, ServicesDep
from app.api.inference_route import InferenceRoute, respond
from app.api.routes.embeddings import embeddings
from app.api.schemas.embeddings import EmbeddingsRequest
from app.compat.huggingface import AnyBody, run_pipeline_of
from app.compat.tei import TeiCall, embed, predict
from app.compat.tei_bodies import TeiEmbedBody, TeiPredictBody
from app.validation import validate

router = APIRouter(route_class=InferenceRoute, include_in_schema=False)
router.post("/embeddings")(embeddings)


@router.post("/")
async def run_default_model(
    body: AnyBody, request: Request, inference: InferenceDep, services: ServicesDep
) -> Response:
    """Answers in the dialect of the body: OpenAI's has `input`, Hugging Face's `parameters`, TEI's neither.

    TEI's and Hugging Face's requests are for the default model and for the task that it does first.
    """
    if "input" in body:
        return await respond(request, inference, validate(EmbeddingsRequest, body))
    model = await inference.open(None)
    if "parameters" in body or isinstance(body.get("inputs"), dict):
        return await run_pipeline_of(model, body, request)
    call = TeiCall(request, services, None)
    if model.classifier is not None:
        return await predict(validate(TeiPredictBody, body), call)
    return await embed(validate(TeiEmbedBody, body), call)
