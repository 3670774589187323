"""Bodies of `POST /v1/score`."""

from typing import Annotated, ClassVar, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from app.api.schemas.common import Side, TextInputs, Truncate, Usage, usage
from app.api.wire.fragments import fragment
from app.inference.service import Answer
from app.modalities.text.items import ScoreItem, ScoreMethod, ScoreResult
from app.types import Task, TruncationSide


class ScoreRequest(TextInputs):
    model_config = ConfigDict(strict=True)

    task: ClassVar[Task] = Task.SCORE

    method: Annotated[ScoreMethod, Field(strict=False)] = Field(
        ScoreMethod.WITHIN_WORD_L2R,
        description="Method of masking: `original` masks each token alone, `within-word-l2r` also the tokens that "
        "follow it in its word",
    )
    top_k: Annotated[
        int, Field(ge=0, le=20, description="Number of the model's best tokens to list at each position")
    ] = 0
    truncate: Truncate = False
    truncation_side: Side = TruncationSide.RIGHT

    def to_item(self, text: str) -> ScoreItem:
        return ScoreItem(
            text=text,
            method=self.method,
            top_k=self.top_k,
            truncate=self.truncate,
            truncation_side=self.truncation_side,
        )

    def write(self, answer: Answer[ScoreResult]) -> bytes:
        data = [
            {
                "index": index,
                "log_likelihood": result.log_likelihood,
                "pseudo_perplexity": result.pseudo_perplexity,
                "tokens": fragment(result.scored),
            }
            for index, result in enumerate(answer.results)
        ]
        tokens = usage(sum(result.tokens for result in answer.results))
        return orjson.dumps({"object": "score", "model": answer.model, "data": data, "usage": tokens})


class RankedTokenObject(BaseModel):
    score: float
    token: int
    token_str: str


class ScoredTokenObject(BaseModel):
    token: int
    token_str: str
    start: int = Field(description="Offset of the first character in the input")
    end: int
    word: int = Field(description="Index of the token's word; punctuation counts as words")
    log_prob: float = Field(description="Natural logarithm of the token's probability")
    rank: int = Field(description="Rank of the token in the vocabulary; 1 is the most probable")
    candidates: list[RankedTokenObject] = Field(description="The `top_k` most probable tokens, best first")


class ScoredObject(BaseModel):
    index: int
    log_likelihood: float = Field(description="Sum of the tokens' log-probabilities")
    pseudo_perplexity: float = Field(description="Pseudo-perplexity: exp(−log_likelihood / number of tokens)")
    tokens: list[ScoredTokenObject] = Field(description="Tokens of the text, without special tokens")


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
        "summary": "Each token masked alone",
        "value": {"input": "A photosynthesising axolotl.", "method": "original"},
    },
}
