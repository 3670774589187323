"""The dialect of Hugging Face's text-embeddings-inference (TEI), for its clients.

TEI serves one model. Its routes are therefore at several addresses: at `/tei` and, if the operator leaves them there,
at the root for the default model, and at `/tei/{model_id}` for the others.
"""

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Body, Depends, Request, Response

from app.api.deps import ServicesDep
from app.api.inference_route import InferenceRoute
from app.api.openapi import errors
from app.api.routes.system import health
from app.api.routes.system import info as describe_server
from app.api.schemas.common import MAX_MODEL_ID
from app.api.wire.content_type import JSON
from app.api.wire.disconnect import HttpClient
from app.api.wire.fragments import vector_fragment
from app.compat.fields import renaming
from app.compat.huggingface_body import write_json
from app.compat.similarity import compare
from app.compat.tei_bodies import (
    EXAMPLES,
    TeiDecodeBody,
    TeiEmbedAllBody,
    TeiEmbedBody,
    TeiEmbedSparseBody,
    TeiPredictBody,
    TeiPrediction,
    TeiRank,
    TeiRerankBody,
    TeiSimilarityBody,
    TeiSimilarityOptions,
    TeiTerm,
    TeiToken,
    TeiTokenizeBody,
)
from app.compat.tei_info import TeiInfo, describe_model
from app.compat.tei_paths import PREFIX
from app.errors import InvalidValue, TaskNotSupported
from app.inference.comparing import rank_documents
from app.inference.service import Answer, OpenModel, Report
from app.inference.tokenization import TokenParts
from app.modalities.classification import ClassifyResult, TextPair
from app.modalities.embedding import EmbedResult
from app.modalities.text.items import TokenInfo
from app.types import Activation, ClassifierType, Task

_NAMES = {"input": "inputs", "top_k": "inputs"}


class TeiCall:
    """A request in TEI's dialect. model_id: of its path; None for the default model."""

    def __init__(self, request: Request, services: ServicesDep, model_id: str | None) -> None:
        self.services, self.model_id = services, model_id
        self.inference = services.inference
        self.client = HttpClient(request)
        self._begin = time.perf_counter()

    async def open(self) -> OpenModel:
        return await self.inference.open(self.model_id)

    def respond(self, content: bytes, texts: Iterable[object], tokens: int) -> Response:
        """Returns the answer with TEI's headers. The server does not measure the parts of a request's time."""
        milliseconds = str(round(1000 * (time.perf_counter() - self._begin)))
        headers = {
            "x-compute-type": self.services.pool.device_type,
            "x-compute-characters": str(sum(map(_count_characters, texts))),
            "x-compute-tokens": str(tokens),
            "x-compute-time": milliseconds,
            "x-total-time": milliseconds,
        }
        return Response(content, media_type=JSON, headers=headers)


def _count_characters(given: object) -> int:
    """Counts characters as TEI does: a token id is one."""
    if isinstance(given, TextPair):
        return len(given.text) + len(given.text_pair)
    return len(given) if isinstance(given, str | tuple | bytes) else 0


async def _call(request: Request, services: ServicesDep) -> TeiCall:
    model_id = request.path_params.get("model_id")
    if model_id is not None and len(model_id) > MAX_MODEL_ID:
        raise InvalidValue(f"`model_id` should have at most {MAX_MODEL_ID} characters", param="model_id")
    return TeiCall(request, services, model_id)


Call = Annotated[TeiCall, Depends(_call)]
EmbedBody = Annotated[TeiEmbedBody, Body(openapi_examples=EXAMPLES["embed"])]
EmbedAllBody = Annotated[TeiEmbedAllBody, Body(openapi_examples=EXAMPLES["embed"])]
EmbedSparseBody = Annotated[TeiEmbedSparseBody, Body(openapi_examples=EXAMPLES["embed"])]
PredictBody = Annotated[TeiPredictBody, Body(openapi_examples=EXAMPLES["predict"])]
RerankBody = Annotated[TeiRerankBody, Body(openapi_examples=EXAMPLES["rerank"])]
SimilarityBody = Annotated[TeiSimilarityBody, Body(openapi_examples=EXAMPLES["similarity"])]
TokenizeBody = Annotated[TeiTokenizeBody, Body(openapi_examples=EXAMPLES["embed"])]
DecodeBody = Annotated[TeiDecodeBody, Body(openapi_examples=EXAMPLES["decode"])]


async def embed(body: EmbedBody, call: Call) -> Response:
    """Returns a vector for each input, in a list also for one input."""
    return await _embed(body, call)


async def embed_all(body: EmbedAllBody, call: Call) -> Response:
    """Returns a list of vectors for each input, one for each token, in a list also for one input."""
    return await _embed(body, call)


async def embed_sparse(body: EmbedSparseBody, call: Call) -> Response:
    """Returns the weights of the entries of the vocabulary for each input, those above 0."""
    return await _embed(body, call)


async def _embed(body: TeiEmbedBody | TeiEmbedAllBody | TeiEmbedSparseBody, call: TeiCall) -> Response:
    def write(answer: Answer[EmbedResult]) -> Response:
        content = write_json(map(_write_vector, answer.results))
        return call.respond(content, body.inputs, _count_tokens(answer))

    with renaming(_NAMES):
        model = await call.open()
        return await model.run(Task.EMBED, body.inputs, call.client, to_item=body.to_item, write=write, names=_NAMES)


def _write_vector(result: EmbedResult) -> Any:
    if result.sparse is None:
        return vector_fragment(result.vector)
    found = zip(result.sparse.indices.tolist(), result.sparse.weights.tolist(), strict=True)
    return [{"index": index, "value": value} for index, value in found]


def _count_tokens(answer: Answer[Any]) -> int:
    return sum(result.tokens for result in answer.results)


async def predict(body: PredictBody, call: Call) -> Response:
    """Returns the labels of each input, best first."""
    activation = Activation.NONE if body.raw_scores else None

    def write(answer: Answer[ClassifyResult]) -> Response:
        ranked = (
            sorted(result.rank(activation), key=lambda label: label.score, reverse=True) for result in answer.results
        )
        return call.respond(write_json(ranked, alone=body.inputs.alone), body.inputs.given, _count_tokens(answer))

    with renaming(_NAMES):
        model = await call.open()
        model.require(Task.CLASSIFY)
        if model.classifier is not None and model.classifier.type is ClassifierType.TOKENS:
            raise TaskNotSupported(f"{model.id} labels tokens; /predict is for models that label texts", param="model")
        to_item = partial(body.to_item, top_k=model.max_labels)
        given = body.inputs.given
        return await model.run(Task.CLASSIFY, given, call.client, to_item=to_item, write=write, names=_NAMES)


async def compare_sentences(body: SimilarityBody, call: Call) -> Response:
    """Returns the cosine of the source sentence and each of the others."""
    texts = [body.inputs.source_sentence, *body.inputs.sentences]
    options = body.parameters or TeiSimilarityOptions()
    return await compare(
        await call.open(),
        body.inputs.source_sentence,
        body.inputs.sentences,
        call.client,
        to_item=options.to_item,
        write=lambda cosines, tokens: call.respond(orjson.dumps(cosines), texts, tokens),
    )


async def rerank(body: RerankBody, call: Call) -> Response:
    """Returns the texts in the order of their relevance to the query, the most relevant first."""
    ranking = await rank_documents(
        await call.open(),
        body.query,
        body.texts,
        call.client,
        body.to_options(),
        top_n=body.top_n,
        names=("query", "texts"),
    )
    return call.respond(body.write_ranks(ranking, body.texts), [body.query, *body.texts], ranking.tokens)


async def tokenize(body: TokenizeBody, call: Call) -> Response:
    """Returns the tokens of each text, in a list also for one text. Offsets count the characters of the prompt too."""

    def write(answer: Answer[TokenParts], report: Report) -> bytes:
        return b"[" + b",".join(map(_write_tokens, answer.results)) + b"]"

    with renaming(_NAMES):
        content = await call.inference.tokenize(
            call.model_id,
            body.inputs,
            call.client,
            add_special_tokens=body.add_special_tokens,
            prompt_name=body.prompt_name,
            write=write,
        )
    return Response(content, media_type=JSON)


def _write_tokens(parts: TokenParts) -> bytes:
    # In parts: no other thread runs while orjson writes.
    return b"[" + b",".join(orjson.dumps(list(map(_token, part)))[1:-1] for part in parts) + b"]"


def _token(token: TokenInfo) -> dict[str, Any]:
    """Returns the fields of TeiToken."""
    return {
        "id": token.id,
        "text": token.text,
        "special": token.special,
        "start": token.start,
        "stop": token.stop,
    }


async def decode(body: DecodeBody, call: Call) -> list[str]:
    """Returns the text of each list of token ids, in a list also for one of them."""
    with renaming({"input": "ids"}):
        return await call.inference.decode(
            call.model_id, body.ids, call.client, skip_special_tokens=body.skip_special_tokens
        )


async def info(call: Call) -> TeiInfo:
    """Returns the model and the limits of the server."""
    return describe_model(await call.open(), call.services)


def _build_router(prefix: str, *, documented: bool = False) -> APIRouter:
    router = APIRouter(
        prefix=prefix, route_class=InferenceRoute, tags=["Text Embeddings Inference"], include_in_schema=documented
    )
    for name, (handler, answer) in _HANDLERS.items():
        router.post(f"/{name}", response_model=answer, responses=errors(404, 424))(handler)
    return router


_HANDLERS: dict[str, tuple[Callable[..., Any], Any]] = {
    "embed": (embed, list[list[float]]),
    "embed_all": (embed_all, list[list[list[float]]]),
    "embed_sparse": (embed_sparse, list[list[TeiTerm]]),
    "predict": (predict, list[TeiPrediction] | list[list[TeiPrediction]]),
    "rerank": (rerank, list[TeiRank]),
    "similarity": (compare_sentences, list[float]),
    "tokenize": (tokenize, list[list[TeiToken]]),
    "decode": (decode, list[str]),
}

router = _build_router(PREFIX, documented=True)
router.get("/info")(info)
router.get("/health")(health)
named_router = _build_router(f"{PREFIX}/{{model_id:path}}")
named_router.get("/info")(info)
root_router = _build_router("")


@root_router.get("/info")
async def merged_info(request: Request, services: ServicesDep) -> dict[str, Any]:
    """Returns what Cloze's own `/info` does, and TEI's facts about the default model once it is loaded."""
    facts = await describe_server(services)
    if facts["model_id"] not in facts["loaded_models"]:
        return facts
    call = await _call(request, services)
    return describe_model(await call.open(), services).model_dump() | facts
