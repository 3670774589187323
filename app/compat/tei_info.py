"""The facts about a model in the terms of text-embeddings-inference."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from app import __version__
from app.api.deps import Services
from app.inference.service import OpenModel


class TeiLabels(BaseModel):
    id2label: dict[str, str] = Field(description="Labels by the numbers of the model's outputs")
    label2id: dict[str, int] = Field(description="Numbers of the model's outputs by their labels")


class TeiPooling(BaseModel):
    pooling: str | None = Field(description="How token vectors are pooled; null if the model embeds no text")


Kind = Literal["embedding", "classifier"]


class TeiInfo(BaseModel):
    """The answer of `/info`, with the fields of text-embeddings-inference."""

    model_config = ConfigDict(protected_namespaces=())

    model_id: str = Field(description="Model as name@version")
    model_sha: str | None = Field(None, description="A field of text-embeddings-inference; always null")
    model_dtype: str = Field(description="Type of the weights in memory")
    model_type: dict[Kind, TeiPooling | TeiLabels] = Field(description="Kind of the model, with its facts")
    max_concurrent_requests: int = Field(description="Inputs that may be queued or computed at once")
    max_input_length: int | None = Field(description="Tokens that the model reads; null if there is no such bound")
    max_batch_tokens: int = Field(description="Tokens of a batch")
    max_batch_requests: int | None = Field(None, description="A field of text-embeddings-inference; always null")
    max_client_batch_size: int = Field(description="Inputs of one request")
    auto_truncate: bool = Field(True, description="Whether a text that is too long is cut by default; always true")
    version: str = Field(description="Version of Cloze")
    sha: str | None = Field(None, description="A field of text-embeddings-inference; always null")
    docker_label: str | None = Field(None, description="A field of text-embeddings-inference; always null")


def describe_model(model: OpenModel, services: Services) -> TeiInfo:
    """Returns TEI's facts about a model and the server."""
    return TeiInfo(
        model_id=model.id,
        model_dtype=str(services.pool.dtype).removeprefix("torch."),
        model_type=_describe_kind(model),
        max_concurrent_requests=services.settings.max_queued_inputs,
        max_input_length=model.max_length,
        max_batch_tokens=services.pool.batcher.max_tokens,
        max_client_batch_size=services.settings.max_request_inputs,
        version=__version__,
    )


def _describe_kind(model: OpenModel) -> dict[Kind, TeiPooling | TeiLabels]:
    if model.classifier is None:
        return {"embedding": TeiPooling(pooling=model.pooling)}
    numbers = {label: index for index, label in enumerate(model.classifier.labels)}
    names = {str(index): label for label, index in numbers.items()}
    return {"classifier": TeiLabels(id2label=names, label2id=numbers)}
