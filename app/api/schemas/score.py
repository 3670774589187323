"""Bodies of `POST /v1/score`."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from app.api.schemas.common import Body, Model, Texts, Truncate, Usage
from app.modalities.text.items import ScoreMethod
from app.types import TruncationSide


class ScoreRequest(Body):
    model: Model = None
    input: Texts
    method: ScoreMethod = Field(
        ScoreMethod.WITHIN_WORD_L2R,
        description="Tokens that are masked to score one: `original` masks it alone, `within-word-l2r` also those that "
        "follow it in its word",
    )
    top_k: Annotated[
        int, Field(strict=True, ge=0, le=20, description="Number of the model's best tokens to list at each position")
    ] = 0
    truncate: Truncate = False
    truncation_side: TruncationSide = TruncationSide.RIGHT


class RankedTokenObject(BaseModel):
    score: float
    token: int
    token_str: str


class ScoredTokenObject(BaseModel):
    token: int
    token_str: str
    start: int = Field(description="Offset of its first character in the input as it was sent")
    end: int
    word: int = Field(description="Number of the word that it is of; punctuation counts as words")
    log_prob: float = Field(description="Natural logarithm of its probability")
    rank: int = Field(description="1 where no token of the vocabulary is more probable")
    candidates: list[RankedTokenObject] = Field(description="`top_k` of them, best first")


class ScoredObject(BaseModel):
    index: int
    log_likelihood: float = Field(description="Sum of the tokens' log-probabilities")
    pseudo_perplexity: float = Field(description="Pseudo-perplexity: exp(−log_likelihood / number of tokens)")
    tokens: list[ScoredTokenObject] = Field(description="All but special ones")


class ScoreResponse(BaseModel):
    object: Literal["score"] = "score"
    model: str
    data: list[ScoredObject]
    usage: Usage


EXAMPLES = {
    "pair": {
        "summary": "Which of two sentences is the better English",
        "value": {"input": ["The cats near the door sleep.", "The cats near the door sleeps."]},
    },
    "tokens": {
        "summary": "What the model expected at each place",
        "value": {"input": "Tokyo is the capital of Germany.", "top_k": 3},
    },
    "original": {
        "summary": "Each token hidden alone",
        "value": {"input": "A photosynthesising axolotl.", "method": "original"},
    },
}
