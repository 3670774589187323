"""Bodies of `POST /v1/rerank`, in the shape of Cohere's and Jina's."""

from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from app.api.schemas.common import MAX_COUNT, ModelChoice, Side, Usage, usage
from app.api.schemas.similarity import METHOD, TRUNCATE, MethodName
from app.errors import EmptyInput
from app.inference.compared import CompareOptions, DocumentRanking
from app.types import CompareMethod, TruncationSide


def _read_documents(value: object) -> list[str]:
    """Returns texts: strings, or objects with the field `text`. Raises ValueError and EmptyInput."""
    if not isinstance(value, list):
        raise ValueError("expected a list of documents")
    if not value:
        raise EmptyInput("`documents` is empty", param="documents")
    return [_read_document(index, each) for index, each in enumerate(value)]


def _read_document(index: int, value: object) -> str:
    text = value.get("text") if isinstance(value, dict) and value.keys() == {"text"} else value
    if not isinstance(text, str):
        raise ValueError(f'document {index}: expected a string or {{"text": "…"}}')
    return text


_TEXT = {"type": "string"}
_DOCUMENT = {"type": "object", "required": ["text"], "properties": {"text": _TEXT}, "additionalProperties": False}
Documents = Annotated[
    list[str],
    BeforeValidator(_read_documents),
    WithJsonSchema({"type": "array", "items": {"anyOf": [_TEXT, _DOCUMENT]}, "minItems": 1, "title": "Documents"}),
]


class RerankRequest(ModelChoice):
    model_config = ConfigDict(strict=True)

    query: str = Field(description="Text that the documents are compared with")
    documents: Documents = Field(description="Texts, as strings or as objects with the field `text`")
    top_n: Annotated[int, Field(ge=1, le=MAX_COUNT)] | None = Field(
        None, description="Number of documents in the answer; all by default"
    )
    return_documents: Annotated[bool, Field(description="Repeat the text of each document in the answer")] = False
    method: MethodName | None = Field(None, description=METHOD)
    raw_scores: Annotated[
        bool, Field(description="Return the output of a cross-encoder as it is, without its activation")
    ] = False
    truncate: bool | None = Field(None, description=TRUNCATE)
    truncation_side: Side = TruncationSide.RIGHT

    def to_options(self) -> CompareOptions:
        return CompareOptions(
            self.method, raw_scores=self.raw_scores, truncate=self.truncate, truncation_side=self.truncation_side
        )

    def write_ranking(self, ranking: DocumentRanking) -> bytes:
        return orjson.dumps(
            {
                "object": "list",
                "model": ranking.model,
                "method": ranking.method,
                "results": [self._result(index, score) for index, score in ranking.documents],
                "usage": usage(ranking.tokens),
            }
        )

    def _result(self, index: int, score: float) -> dict[str, Any]:
        document = {"document": {"text": self.documents[index]}} if self.return_documents else {}
        return {"index": index, "relevance_score": score} | document


class RankedText(BaseModel):
    text: str = Field(description="Text of the document")


class RankedDocument(BaseModel):
    index: int = Field(description="Index of the document in the request, counted from 0")
    relevance_score: float = Field(description="Score of the document; a higher one is more relevant")
    document: RankedText | None = Field(None, description="The document, with `return_documents`; else absent")


class RerankResponse(BaseModel):
    object: Literal["list"] = "list"
    model: str
    method: CompareMethod = Field(description="Method of the comparison")
    results: list[RankedDocument] = Field(description="Documents, the most relevant first")
    usage: Usage


EXAMPLES = {
    "rerank": {
        "summary": "Documents in the order of their relevance",
        "value": {
            "query": "Where do lions live?",
            "documents": ["Lions hunt in the savanna of Africa.", "Water boils at 100 degrees."],
            "return_documents": True,
        },
    },
}
