"""Bodies of `POST /v1/embeddings`: OpenAI's, with further options."""

import base64
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from app.api.schemas.common import (
    MAX_COUNT,
    MAX_PROMPT_NAME,
    MixedInputs,
    ModelChoice,
    OwnTokenIds,
    PoolingName,
    Side,
    Usage,
    read_line,
    usage,
)
from app.api.wire.fragments import vector_fragment
from app.inference.service import Answer
from app.modalities.embedding import EmbedItem, EmbedResult
from app.types import Task, TruncationSide


class EmbeddingOptions(ModelChoice):
    """The options of a request, and of a stream of inputs, where they are parameters of the query."""

    task: ClassVar[Task] = Task.EMBED
    large: ClassVar[bool] = False

    encoding_format: Annotated[
        Literal["float", "base64"],
        Field(description="Encoding of the vectors; base64 is little-endian float32, as OpenAI's client requests"),
    ] = "float"
    dimensions: Annotated[int, Field(ge=1, le=MAX_COUNT)] | None = Field(
        None, description="Number of leading components to keep"
    )
    pooling: PoolingName | None = Field(None, description="Pooling of the token vectors; the model's own by default")
    normalize: Annotated[bool, Field(description="Scale each vector to length 1")] = True
    truncate: bool | None = Field(
        None,
        description="What becomes of a text that is too long: true cuts it, false refuses it. By default it is embedded"
        " in windows, unless the server is set otherwise",
    )
    truncation_side: Side = TruncationSide.RIGHT
    token_ids: OwnTokenIds = False
    prompt_name: Annotated[str, Field(max_length=MAX_PROMPT_NAME)] | None = Field(
        None, description="Name of the model's prompt that goes before each text; the model's default by default"
    )

    def to_input(self, value: Any) -> Any:
        """Returns a line's input. Raises InvalidValue."""
        return read_line(value)

    def to_item(self, given: str | tuple[int, ...] | bytes) -> EmbedItem:
        return EmbedItem(
            input=given,
            pooling=self.pooling,
            normalize=self.normalize,
            truncate=bool(self.truncate),
            split=self.truncate is None,
            truncation_side=self.truncation_side,
            dimensions=self.dimensions,
            prompt_name=self.prompt_name,
            token_ids=self.token_ids,
        )

    def from_result(self, result: EmbedResult) -> dict[str, Any]:
        return {
            "object": "embedding",
            "embedding": self._encode(result.vector),
            "usage": usage(result.tokens) | _count_windows([result]),
        }

    def _encode(self, vector: NDArray[np.float32]) -> Any:
        if self.encoding_format == "base64":
            return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")
        return vector_fragment(vector)


class EmbeddingsRequest(EmbeddingOptions, MixedInputs):
    model_config = ConfigDict(strict=True)

    user: str | None = Field(None, max_length=1024, description="Accepted for compatibility and ignored")
    output: Literal["pooled", "windows"] = Field(
        "pooled",
        description="`pooled` returns one vector per input, `windows` one for each window of a sound or a video",
    )

    def to_item(self, given: str | tuple[int, ...] | bytes) -> EmbedItem:
        return replace(super().to_item(given), output=self.output)

    def write(self, answer: Answer[EmbedResult]) -> bytes:
        return orjson.dumps(
            {
                "object": "list",
                "data": [entry for index, result in enumerate(answer.results) for entry in self._data(index, result)],
                "model": answer.model,
                "usage": usage(sum(result.tokens for result in answer.results)) | _count_windows(answer.results),
            }
        )

    def headers(self, answer: Answer[EmbedResult]) -> dict[str, str]:
        windows = _count_windows(answer.results)
        return {"x-embedding-windows": str(windows["windows"])} if windows else {}

    def _data(self, index: int, result: EmbedResult) -> Iterator[dict[str, Any]]:
        """Yields the input's own entry in `data`, or those of its windows."""
        entry = {"object": "embedding", "index": index}
        if self.output == "pooled":
            yield entry | {"embedding": self._encode(result.vector)}
            return
        spans = [{"start": start, "end": end} for start, end in result.times or ()] or [{}] * len(result.vector)
        for window, (vector, span) in enumerate(zip(result.vector, spans, strict=True)):
            yield entry | {"window": window, "embedding": self._encode(vector)} | span


def _count_windows(results: Iterable[EmbedResult]) -> dict[str, int]:
    """Returns the field of the usage for texts that were too long; none if all fit."""
    count = sum(result.parts for result in results if result.parts > 1)
    return {"windows": count} if count else {}


class EmbeddingObject(BaseModel):
    object: Literal["embedding"] = "embedding"
    index: int = Field(description="Index of the input; windows of one input share it")
    embedding: list[float] | str = Field(description="The vector, in the requested `encoding_format`")
    window: int | None = Field(None, description="Number of the window in its input, with `output` windows")
    start: float | None = Field(None, description="Start of the window in seconds, if the input has a duration")
    end: float | None = Field(None, description="End of the window in seconds, if the input has a duration")


class EmbeddingUsage(Usage):
    windows: int | None = Field(
        None, description="Windows of the texts that were too long, whose vectors were averaged; absent if all fit"
    )


class EmbeddingsResponse(BaseModel):
    object: Literal["list"] = "list"
    data: list[EmbeddingObject]
    model: str
    usage: EmbeddingUsage


EXAMPLES = {
    "one": {"summary": "One text", "value": {"input": "Masked models fill in what is missing."}},
    "several": {"summary": "Several texts", "value": {"input": ["The lions hunt.", "Big cats chase their prey."]}},
    "native": {
        "summary": "Pooling, normalisation and truncation",
        "value": {"input": "A long text …", "pooling": "cls", "normalize": False, "truncate": True},
    },
}
