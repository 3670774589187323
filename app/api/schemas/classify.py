"""Bodies of `POST /v1/classify`."""

from typing import Annotated, Any, ClassVar, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from app.api.schemas.common import (
    MAX_COUNT,
    MixedInputs,
    ModelChoice,
    OwnTokenIds,
    Side,
    Truncate,
    Usage,
    read_line,
    usage,
)
from app.inference.service import Answer
from app.modalities.classification import ClassifyItem, ClassifyResult
from app.types import ClassifierType, Task, TruncationSide


class ClassifyOptions(ModelChoice):
    """The options of a request, and of a stream of inputs, where they are parameters of the query."""

    task: ClassVar[Task] = Task.CLASSIFY
    large: ClassVar[bool] = False

    top_k: Annotated[int, Field(ge=1, le=MAX_COUNT, description="Number of labels per input, best first")] = 5
    truncate: Truncate = False
    truncation_side: Side = TruncationSide.RIGHT
    token_ids: OwnTokenIds = False

    def to_input(self, value: Any) -> Any:
        """Returns a line's input. Raises InvalidValue."""
        return read_line(value)

    def to_item(self, given: str | tuple[int, ...] | bytes) -> ClassifyItem:
        return ClassifyItem(
            given,
            self.top_k,
            truncate=self.truncate,
            truncation_side=self.truncation_side,
            token_ids=self.token_ids,
        )

    def from_result(self, result: ClassifyResult) -> dict[str, Any]:
        return {"object": "classification", **_describe(result), "usage": usage(result.tokens)}


class ClassifyRequest(ClassifyOptions, MixedInputs):
    model_config = ConfigDict(strict=True)

    def write(self, answer: Answer[ClassifyResult]) -> bytes:
        return orjson.dumps(
            {
                "object": "list",
                "data": [
                    {"object": "classification", "index": index, **_describe(result)}
                    for index, result in enumerate(answer.results)
                ],
                "model": answer.model,
                "usage": usage(sum(result.tokens for result in answer.results)),
            }
        )


def _describe(result: ClassifyResult) -> dict[str, Any]:
    """Returns the fields of an input's answer that depend on its scores."""
    kind = result.classifier.type
    found: dict[str, Any] = {"type": kind, "label": result.best_label(), "scores": result.rank()}
    if kind is ClassifierType.MULTI_LABEL:
        found["labels"] = result.assigned_labels()
    return found


class LabelScoreObject(BaseModel):
    label: str = Field(description="Name of the label")
    score: float = Field(description="Probability of the label; for a regression, the predicted number")


class ClassificationObject(BaseModel):
    object: Literal["classification"] = "classification"
    index: int = Field(description="Index of the input")
    type: ClassifierType = Field(
        description="`single_label` for one label per input, `multi_label` for any number, `regression` for numbers"
    )
    label: str | None = Field(description="The most probable label; null for a regression")
    labels: list[str] | None = Field(
        None, description="The labels with a probability of at least 0.5, if an input may have several"
    )
    scores: list[LabelScoreObject] = Field(description="The `top_k` most probable labels, best first")


class ClassifyResponse(BaseModel):
    object: Literal["list"] = "list"
    data: list[ClassificationObject]
    model: str
    usage: Usage


EXAMPLES = {
    "one": {
        "summary": "One text (a model that an evaluation has published, or an imported classifier)",
        "value": {"model": "reviews", "input": "A wonderful film."},
    },
    "several": {
        "summary": "Several texts, with the best label of each",
        "value": {"model": "reviews", "input": ["A wonderful film.", "Two hours of boredom."], "top_k": 1},
    },
}
