"""Bodies of `POST /v1/embeddings`: OpenAI's, with further options."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from app.api.schemas.common import MAX_COUNT, MixedInputs, Usage, usage
from app.api.schemas.embedding_options import EmbeddingOptions, count_windows
from app.api.wire.fragments import fragment
from app.api.wire.vectors import VectorFormat, VectorType
from app.errors import InvalidValue
from app.inference.service import Answer
from app.modalities.embedding import (
    CHUNK_SIZE,
    ChunkOptions,
    EmbedItem,
    EmbedOutput,
    EmbedResult,
    SparseVector,
    TextPart,
)

TERMS, MAX_TERMS = 256, 10_000  # tokens of a sparse vector: by default, and at most
_MAX_TYPES = 6
_TYPES = {"type": "string", "enum": ["float", "base64", "int8", "uint8", "binary", "ubinary"]}

Types = Annotated[
    list[VectorType],
    Field(min_length=1, max_length=_MAX_TYPES),
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    WithJsonSchema({"anyOf": [_TYPES, {"type": "array", "items": _TYPES, "minItems": 1, "maxItems": _MAX_TYPES}]}),
]


class EmbeddingsRequest(EmbeddingOptions, MixedInputs):
    model_config = ConfigDict(strict=True)

    user: str | None = Field(None, max_length=1024, description="Accepted for compatibility and ignored")
    output: EmbedOutput = Field(
        "pooled",
        description="`pooled` returns one vector per input, `tokens`, `words` and `chunks` one for each of these in a"
        " text, `windows` one for each window of a sound or a video, `sparse` a weight for each token of the"
        " vocabulary (SPLADE), `multi_vector` a list with a vector for each token that is compared by MaxSim (ColBERT)",
    )
    top_k: Annotated[int, Field(ge=1, le=MAX_TERMS)] | None = Field(
        None, description=f"Number of tokens of a sparse vector, those of the highest weights; {TERMS} by default"
    )
    embedding_types: Types | None = Field(
        None,
        description="Types of the vectors, as in Cohere's API: each `embedding` is then an object with a vector of each"
        " type, whatever `encoding_format` says",
    )
    chunk_size: Annotated[int, Field(ge=1, le=MAX_COUNT)] | None = Field(
        None,
        description=f"Tokens of a chunk, {CHUNK_SIZE} by default; as many as the model reads if these are fewer",
    )
    chunk_overlap: Annotated[int, Field(ge=0, le=MAX_COUNT)] | None = Field(
        None, description="Tokens that a chunk shares with the next one, at most; 0 by default"
    )
    late_chunking: bool = Field(
        False,
        description="Whether the tokens of a chunk see the whole text, or as much of it as the model reads, instead of"
        " the chunk alone",
    )

    @model_validator(mode="after")
    def _check_chunks(self) -> "EmbeddingsRequest":
        if self.output != "sparse" and self.top_k is not None:
            raise InvalidValue('`top_k` belongs to "output": "sparse"', param="top_k")
        if self.output == "sparse" and self.embedding_types is not None:
            raise InvalidValue("a sparse vector has no types; leave `embedding_types` out", param="embedding_types")
        size, overlap = self.chunk_size or CHUNK_SIZE, self.chunk_overlap or 0
        if self.output == "chunks":
            if overlap >= size:
                raise InvalidValue(f"`chunk_overlap` should be less than the {size} of a chunk", param="chunk_overlap")
            return self
        given = {
            "chunk_size": self.chunk_size,
            "chunk_overlap": self.chunk_overlap,
            "late_chunking": self.late_chunking,
        }
        for name, value in given.items():
            if value:
                raise InvalidValue(f'`{name}` belongs to "output": "chunks"', param=name)
        return self

    @property
    def vector_format(self) -> VectorFormat:
        one = super().vector_format
        if self.embedding_types is None:
            return one
        return replace(one, types=tuple(dict.fromkeys(self.embedding_types)), as_object=True)

    def to_item(self, given: str | tuple[int, ...] | bytes) -> EmbedItem:
        chunks = ChunkOptions(self.chunk_size or CHUNK_SIZE, self.chunk_overlap or 0, self.late_chunking)
        return self.build_item(given, output=self.output, chunks=chunks, terms=self.top_k or TERMS)

    def write(self, answer: Answer[EmbedResult]) -> bytes:
        asked = self.vector_format
        vectors = asked.fit(result.vector for result in answer.results)
        return orjson.dumps(
            {
                "object": "list",
                "data": [
                    entry
                    for index, result in enumerate(answer.results)
                    for entry in _entries(index, result, self.output, vectors)
                ],
                "model": answer.model,
                "usage": usage(sum(result.tokens for result in answer.results)) | count_windows(answer.results),
                **({"ranges": fragment(vectors.ranges)} if asked.needs_calibration else {}),
            }
        )

    def headers(self, answer: Answer[EmbedResult]) -> dict[str, str]:
        windows = count_windows(answer.results)
        return {"x-embedding-windows": str(windows["windows"])} if windows else {}


def _entries(index: int, result: EmbedResult, output: EmbedOutput, vectors: VectorFormat) -> Iterator[dict[str, Any]]:
    """Yields the input's own entry in `data`, or those of its windows or parts."""
    entry = {"object": "embedding", "index": index}
    if result.sparse is not None:
        yield entry | {"embedding": fragment(_terms(result.sparse))}
        return
    if output == "multi_vector":
        yield entry | {"embedding": list(map(vectors.write, result.vector))}
        return
    if result.vector.ndim == 1:
        yield entry | {"embedding": vectors.write(result.vector)}
        return
    if result.spans is not None:
        for number, (vector, part) in enumerate(zip(result.vector, result.spans, strict=True)):
            yield entry | {"part": number, "embedding": vectors.write(vector)} | _describe(part)
        return
    spans = [{"start": start, "end": end} for start, end in result.times or ()] or [{}] * len(result.vector)
    for window, (vector, span) in enumerate(zip(result.vector, spans, strict=True)):
        yield entry | {"window": window, "embedding": vectors.write(vector)} | span


def _terms(vector: SparseVector) -> list[dict[str, Any]]:
    found = zip(vector.tokens, vector.indices.tolist(), vector.weights.tolist(), strict=True)
    return [{"token": token, "index": index, "value": value} for token, index, value in found]


def _describe(part: TextPart) -> dict[str, Any]:
    described = {"text": part.text, "start": part.start, "end": part.end}
    return described if part.id is None else described | {"token": part.id, "special": part.special}


class SparseTerm(BaseModel):
    token: str = Field(description="The token as text")
    index: int = Field(description="Id of the token in the vocabulary")
    value: float = Field(description="Weight of the token, above 0")


Vector = list[float] | str | dict[VectorType, list[float] | str]


class EmbeddingObject(BaseModel):
    object: Literal["embedding"] = "embedding"
    index: int = Field(description="Index of the input; windows and parts of one input share it")
    embedding: Vector | list[SparseTerm] | list[Vector] = Field(
        description="The vector, in the requested `encoding_format`, or by type with `embedding_types`; the tokens of a"
        " sparse vector, the highest weight first; the list of vectors with `output` multi_vector"
    )
    window: int | None = Field(None, description="Number of the window in its input, with `output` windows")
    part: int | None = Field(
        None, description="Number of the token, word or chunk in its input, with `output` tokens, words or chunks"
    )
    text: str | None = Field(None, description="The token, word or chunk")
    start: float | None = Field(
        None,
        description="Start of the window in seconds, if the input has a duration; of a token, word or chunk, offset of"
        " its first character in the input, null for special tokens and those of a prompt",
    )
    end: float | None = Field(
        None, description="End of the window in seconds; of a token, word or chunk, offset behind its last character"
    )
    token: int | None = Field(None, description="Id of the token in the vocabulary, with `output` tokens")
    special: bool | None = Field(None, description="Whether the token is one that goes around every text")


class EmbeddingUsage(Usage):
    windows: int | None = Field(
        None, description="Windows of the texts that were too long, whose vectors were averaged; absent if all fit"
    )


class EmbeddingsResponse(BaseModel):
    object: Literal["list"] = "list"
    data: list[EmbeddingObject]
    model: str
    usage: EmbeddingUsage
    ranges: list[list[float]] | None = Field(
        None,
        description="The ranges that int8 and uint8 were calibrated with, if they are those of the request's vectors:"
        " `ranges` of a later request",
    )


EXAMPLES = {
    "one": {"summary": "One text", "value": {"input": "Masked models fill in what is missing."}},
    "several": {"summary": "Several texts", "value": {"input": ["The lions hunt.", "Big cats chase their prey."]}},
    "native": {
        "summary": "Pooling, normalisation and truncation",
        "value": {"input": "A long text …", "pooling": "cls", "normalize": False, "truncate": True},
    },
    "chunks": {
        "summary": "Chunks of a document",
        "value": {"input": "A long text …", "output": "chunks", "chunk_size": 64, "late_chunking": True},
    },
}
