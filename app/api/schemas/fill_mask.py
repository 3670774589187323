"""Bodies of `POST /v1/fill-mask`."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from app.api.schemas.common import MAX_COUNT, Body, Model, Targets, Texts, Truncate, Usage
from app.types import TruncationSide


class FillMaskRequest(Body):
    model: Model = None
    input: Texts
    top_k: Annotated[int, Field(strict=True, ge=1, le=MAX_COUNT, description="Candidates for each mask")] = 5
    targets: Targets = Field((), description="Score only these words, if any are given")
    num_sequences: Annotated[
        int, Field(strict=True, ge=0, le=20, description="Ways of filling all masks of an input together, best first")
    ] = 0
    truncate: Truncate = False
    truncation_side: TruncationSide = TruncationSide.RIGHT


class FillMaskOptions(Body):
    """Options of a stream of inputs, as parameters of the query."""

    model: Model = None
    top_k: Annotated[int, Field(ge=1, le=MAX_COUNT)] = 5
    num_sequences: Annotated[int, Field(ge=0, le=20)] = 0
    truncate: bool = False
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


class TokenObject(BaseModel):
    token: int
    token_str: str


class SequenceObject(BaseModel):
    sequence: str
    log_prob: float = Field(description="Sum of the log-probabilities of its tokens, each as it was filled in")
    tokens: list[TokenObject] = Field(description="One a mask, in the order of the text")


class FilledObject(BaseModel):
    index: int
    masks: list[MaskObject] = Field(description="Each by itself")
    sequences: list[SequenceObject] | None = Field(None, description="All masks together; with `num_sequences`")


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
    "sequences": {
        "summary": "All masks filled together",
        "value": {"input": "The [MASK] of France is [MASK].", "num_sequences": 3},
    },
    "targets": {
        "summary": "Only some words compete",
        "value": {"input": "She drank a cup of [MASK].", "targets": ["tea", "coffee", "water"]},
    },
}
