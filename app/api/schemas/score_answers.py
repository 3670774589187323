"""Answers of `POST /v1/score`, for the OpenAPI document."""

from typing import Literal

from pydantic import BaseModel, Field

from app.api.schemas.common import Usage


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


class TextFiguresObject(BaseModel):
    log_likelihood: float = Field(description="Sum of the tokens' log-probabilities")
    pseudo_perplexity: float = Field(description="Pseudo-perplexity: exp(−log_likelihood / number of tokens)")


class ScoredObject(TextFiguresObject):
    index: int
    tokens: list[ScoredTokenObject] = Field(description="Tokens of the text, without special tokens")


class ScoredPairObject(BaseModel):
    index: int
    good: TextFiguresObject = Field(description="Figures of the text `good`")
    bad: TextFiguresObject = Field(description="Figures of the text `bad`")
    preferred: Literal["good", "bad", "tie"] = Field(description="The text with the better figure of `rank_by`")


class RankedCandidateObject(TextFiguresObject):
    index: int = Field(description="Index of the candidate in the request")
    candidate: str = Field(description="Candidate as in the request")


class RankedCandidatesObject(BaseModel):
    index: int
    candidates: list[RankedCandidateObject] = Field(description="All candidates, best first by `rank_by`")


class ScoredVariantObject(BaseModel):
    variant: str = Field(description="Variant as in the request")
    score: float = Field(description="Log-probability of the new letters minus that of the wild type's")


class ScoredVariantsObject(BaseModel):
    index: int
    variants: list[ScoredVariantObject] = Field(description="Variants in the order of the request")


class ScoreResponse(BaseModel):
    object: Literal["score"] = "score"
    model: str
    data: list[ScoredObject | ScoredPairObject | RankedCandidatesObject | ScoredVariantsObject] = Field(
        description="One object an input or a pair, in order"
    )
    accuracy: float | None = Field(
        None, description="Share of the pairs in which `good` is preferred, a tie counts as wrong; with `pairs` only"
    )
    usage: Usage
