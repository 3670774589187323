"""Bodies of `POST /v1/fill-mask`."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from app.api.schemas.common import Body, Model, Texts, Truncate, Usage
from app.types import TruncationSide


class FillMaskRequest(Body):
    model: Model = None
    input: Texts
    top_k: Annotated[int, Field(strict=True, ge=1, description="Candidates for each mask")] = 5
    targets: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="Score only these words, if any are given"
    )
    truncate: Truncate = False
    truncation_side: TruncationSide = TruncationSide.RIGHT


class CandidateObject(BaseModel):
    score: float
    token: int
    token_str: str
    sequence: str


class MaskObject(BaseModel):
    position: int = Field(description="Index among the input's tokens")
    start: int = Field(description="Offset of the mask's first character in the input as it was sent")
    end: int
    candidates: list[CandidateObject]


class FilledObject(BaseModel):
    index: int
    masks: list[MaskObject]


class FillMaskResponse(BaseModel):
    object: Literal["fill_mask"] = "fill_mask"
    model: str
    data: list[FilledObject]
    usage: Usage


EXAMPLES = {
    "one": {"summary": "One mask", "value": {"input": "Tokyo is the capital of [MASK]."}},
    "several": {
        "summary": "Several masks and inputs",
        "value": {
            "input": ["The [MASK] chase the [MASK] in the savanna.", "Paris is the [MASK] of France."],
            "top_k": 3,
        },
    },
    "targets": {
        "summary": "Only some words compete",
        "value": {"input": "She drank a cup of [MASK].", "targets": ["tea", "coffee", "water"]},
    },
}
