"""Answers of this process, for a command that finds no server. The bodies are those that a server takes."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson

from app.api.errors import error_message
from app.api.schemas.classify import ClassifyRequest
from app.api.schemas.embeddings import EmbeddingsRequest
from app.api.schemas.fill_mask import FillMaskRequest
from app.api.schemas.rerank import RerankRequest
from app.api.schemas.score import ScoreRequest
from app.errors import AppError
from app.inference.build import local_inference
from app.inference.client import LocalClient
from app.inference.comparing import rank_documents
from app.inference.service import Inference
from app.settings import Settings
from app.validation import validate

Request = FillMaskRequest | EmbeddingsRequest | ClassifyRequest | ScoreRequest

REQUESTS: dict[str, type[Request]] = {
    "/v1/fill-mask": FillMaskRequest,
    "/v1/embeddings": EmbeddingsRequest,
    "/v1/classify": ClassifyRequest,
    "/v1/score": ScoreRequest,
}


async def answer_all(path: str, bodies: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the answer to each body, as the server's route at `path` gives it. Raises AppError."""
    async with _only_errors(), local_inference(Settings()) as inference:
        try:
            return [orjson.loads(await _answer(inference, path, body)) for body in bodies]
        except AppError as error:
            raise AppError(error_message(error)) from error  # with the input at fault


@asynccontextmanager
async def _only_errors() -> AsyncIterator[None]:
    """Logs nothing below errors: the terminal belongs to the answer."""
    logger = logging.getLogger("app")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


async def _answer(inference: Inference, path: str, body: dict[str, Any]) -> bytes:
    if path == "/v1/rerank":
        return await _rank(inference, validate(RerankRequest, body))
    request = validate(REQUESTS[path], body)
    return await inference.run(
        request.task, request.model, request.inputs, LocalClient(), to_item=request.to_item, write=request.write
    )


async def _rank(inference: Inference, request: RerankRequest) -> bytes:
    opened, options = await inference.open(request.model), request.to_options()
    ranking = await rank_documents(
        opened, request.query, request.documents, LocalClient(), options, top_n=request.top_n
    )
    return request.write_ranking(ranking)
