"""Bodies of `POST /v1/fill-mask`."""

from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from app.api.schemas.common import (
    MAX_COUNT,
    Targets,
    TextInputs,
    Usage,
    usage,
)
from app.api.schemas.long_texts import LongTextOptions
from app.api.schemas.masked_text import MaskBody, MaskedGroupObject, write_masked_group
from app.api.schemas.score_answers import RankedTokenObject
from app.api.wire.fragments import fragment
from app.errors import InvalidValue
from app.inference.service import Answer
from app.modalities.text.candidates.options import CandidateFilter, Distribution
from app.modalities.text.candidates.results import MaskedResult, MeasuredPrediction
from app.modalities.text.items import FillMaskItem, FillMaskResult, MaskPrediction
from app.types import FillOrder, FillStrategy, Normalization, Task, TruncationSide

MAX_PATTERN = 500  # characters
Pattern = Annotated[str, Field(min_length=1, max_length=MAX_PATTERN)]

_FEW = 10  # candidates of a mask that are written in far less than a millisecond


class FillMaskOptions(LongTextOptions):
    """The options of a request, and of a stream of inputs, where they are parameters of the query."""

    task: ClassVar[Task] = Task.FILL_MASK

    top_k: Annotated[int, Field(ge=1, le=MAX_COUNT, description="Number of candidates for each mask")] = 5
    num_sequences: Annotated[
        int,
        Field(ge=0, le=20, description="Number of joint fillings of an input; with `decode`, at least 1"),
    ] = 0
    decode: Annotated[
        FillStrategy | None,
        Field(strict=False, description="Way of filling all masks jointly; by default, a beam search"),
    ] = None
    order: Annotated[FillOrder, Field(strict=False, description="Order in which masks are filled jointly")] = (
        FillOrder.CONFIDENCE
    )
    seed: Annotated[int, Field(ge=0, lt=1 << 32, description="Seed of random draws")] = 0
    whole_words: Annotated[
        bool, Field(description="Answer with whole words, of up to 4 tokens each, instead of single tokens")
    ] = False
    normalization: Annotated[
        Normalization,
        Field(strict=False, description="Ranking of candidates of several tokens: by `score` or by `score_per_token`"),
    ] = Normalization.NONE
    pattern: Pattern | None = Field(
        None, description="RE2 regular expression of which a match should be in a candidate, without its white space"
    )
    words_only: Annotated[bool, Field(description="Leave out parts of words, punctuation and special tokens")] = False
    no_repeats: Annotated[
        bool, Field(description="Leave out words that the input already contains, in upper or lower case")
    ] = False
    renormalize: bool = Field(
        False,
        description="Rescale the scores of each mask so that they sum to 1 over `targets`, or over what passes the"
        " filters `allow`, `ban`, `pattern`, `words_only` and `no_repeats`",
    )
    temperature: Annotated[
        float, Field(ge=0.01, le=100, description="Divisor of the logits; all probabilities are those of the result")
    ] = 1.0
    sample: Annotated[
        int, Field(ge=0, le=1000, description="Number of tokens to draw for each mask, with replacement, by `seed`")
    ] = 0
    entropy: Annotated[bool, Field(description="Return the entropy of each mask")] = False
    truncation_side: Literal["left", "right", "around"] = Field(
        "right",
        description="Side at which a text is truncated; `around` cuts both sides, around the masks",
    )

    @property
    def large(self) -> bool:
        return self.top_k > _FEW

    def to_input(self, value: Any) -> str:
        if not isinstance(value, str):
            raise InvalidValue("`input` should be a string", param="input")
        return value

    def to_item(self, text: str) -> FillMaskItem:
        return FillMaskItem(text=text, filter=self.to_filter(), **self.item_options())

    def item_options(self) -> dict[str, Any]:
        """Returns the fields of an item that are the same for all inputs."""
        return {
            "top_k": self.top_k,
            "renormalize": self.renormalize,
            "num_sequences": self.num_sequences,
            "decode": self.decode,
            "order": self.order,
            "seed": self.seed,
            "whole_words": self.whole_words,
            "normalization": self.normalization,
            "truncate": self.truncate,
            "truncation_side": None if self.truncation_side == "around" else TruncationSide(self.truncation_side),
            "windows": self.overflow == "windows",
            "stride": self.stride,
            "distribution": Distribution(self.temperature, self.sample, self.seed if self.sample else 0, self.entropy),
        }

    def to_filter(self) -> CandidateFilter:
        return CandidateFilter(pattern=self.pattern, words_only=self.words_only, no_repeats=self.no_repeats)

    def from_result(self, result: FillMaskResult) -> dict[str, Any]:
        return _filled(result) | {"usage": usage(result.tokens)}


class FillMaskRequest(FillMaskOptions, TextInputs):
    model_config = ConfigDict(strict=True)

    targets: Targets = Field(
        (), description="Words to score, of up to 8 tokens each; if empty, the whole vocabulary is scored"
    )
    allow: Targets = Field(
        (), description="The only words or vocabulary entries that may be candidates; one token each"
    )
    mask: MaskBody | None = Field(
        None, description="Tokens to mask in a text without masks, as spans of characters, words or a share"
    )
    ban: Targets = Field((), description="Words or vocabulary entries that may be no candidates")

    def item_options(self) -> dict[str, Any]:
        mask = None if self.mask is None else self.mask.to_choice()
        return super().item_options() | {"targets": self.targets, "mask": mask}

    def to_filter(self) -> CandidateFilter:
        return replace(super().to_filter(), allow=self.allow, ban=self.ban)

    def write(self, answer: Answer[FillMaskResult]) -> bytes:
        return orjson.dumps(
            {
                "object": "fill_mask",
                "model": answer.model,
                "data": [{"index": index} | _filled(result) for index, result in enumerate(answer.results)],
                "usage": usage(sum(result.tokens for result in answer.results)),
            }
        )


def _filled(result: FillMaskResult) -> dict[str, Any]:
    """Returns the fields of FilledObject but for its index."""
    filled: dict[str, Any] = {"masks": list(map(_mask, result.masks))}
    if isinstance(result, MaskedResult):
        filled["masked"] = [write_masked_group(group) for group in result.masked]
    if result.sequences is not None:
        filled["sequences"] = fragment(result.sequences)
    return filled


def _mask(mask: MaskPrediction) -> orjson.Fragment:
    """Returns the fields of MaskObject. What was not measured has none."""
    if not isinstance(mask, MeasuredPrediction):
        return fragment(mask)
    return fragment({name: value for name, value in vars(mask).items() if value is not None})


class FilledTokenObject(BaseModel):
    token: int
    token_str: str


class CandidateObject(BaseModel):
    score: float = Field(description="Probability; for several tokens, the product of their probabilities")
    token: int | None = Field(description="Token id; null for a candidate of several tokens")
    token_str: str
    sequence: str = Field(description="The input with this mask filled")
    log_prob: float | None = Field(
        None, description="Natural logarithm of the probability, if candidates may have several tokens"
    )
    score_per_token: float | None = Field(
        None, description="Geometric mean of the probabilities of the tokens, if candidates may have several"
    )
    tokens: list[FilledTokenObject] | None = Field(None, description="All tokens, if candidates may have several")
    target: int | None = Field(None, description="Index of the target, if candidates may have several tokens")


class MaskObject(BaseModel):
    position: int = Field(description="Index of the mask among the input's tokens")
    start: int = Field(description="Offset of the mask's first character in the input")
    end: int
    candidates: list[CandidateObject] = Field(description="Most probable candidates, best first")
    entropy: float | None = Field(
        None, description="Entropy in nats over the whole vocabulary, at the `temperature`, with `entropy`"
    )
    samples: list[RankedTokenObject] | None = Field(None, description="Drawn tokens, in their order, with `sample`")


class SequenceObject(BaseModel):
    sequence: str
    log_prob: float = Field(description="Sum of the log-probabilities of its tokens when they were filled in")
    pseudo_log_prob: float = Field(description="Sum of the log-probabilities of its tokens, each given all others")
    score_per_token: float = Field(description="Geometric mean of the probabilities of its tokens, by `log_prob`")
    tokens: list[FilledTokenObject] = Field(description="One token per mask, in the order of the text")
    lengths: list[int] = Field(description="Number of tokens of each mask or span")


class FilledObject(BaseModel):
    index: int
    masks: list[MaskObject] = Field(description="Predictions for each mask by itself")
    masked: list[MaskedGroupObject] | None = Field(None, description="Masked spans, words or tokens, with `mask`")
    sequences: list[SequenceObject] | None = Field(
        None, description="Joint fillings, with `num_sequences` or `decode`, by `pseudo_log_prob`"
    )


class FillMaskResponse(BaseModel):
    object: Literal["fill_mask"] = "fill_mask"
    model: str
    data: list[FilledObject]
    usage: Usage


EXAMPLES = {
    "masked": {
        "summary": "Mask a part of a text, and rank the truth",
        "value": {"input": "Tokyo is the capital of Japan.", "mask": {"spans": [[24, 29]]}, "top_k": 2},
    },
    "filters": {
        "summary": "Whole words that the text does not contain",
        "value": {"input": "The lions chase the [MASK].", "words_only": True, "no_repeats": True, "entropy": True},
    },
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
    "whole_words": {
        "summary": "Whole words, of several tokens too",
        "value": {"input": "The lions chase the [MASK].", "whole_words": True},
    },
    "spans": {
        "summary": "A span of unknown length",
        "value": {"input": "The [MASK:1-3] chase the zebras in the savanna.", "num_sequences": 3},
    },
    "several_tokens": {
        "summary": "Words of several tokens compete",
        "value": {"input": "He lives in [MASK].", "targets": ["London", "New York"], "normalization": "length"},
    },
}
