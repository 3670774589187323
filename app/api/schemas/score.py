"""Bodies of `POST /v1/score`."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import orjson
from pydantic import BeforeValidator, ConfigDict, FailFast, Field, WithJsonSchema, model_validator

from app.api.schemas.common import MAX_COUNT, Body, Side, Targets, Texts, usage
from app.api.schemas.long_texts import LongTextOptions
from app.api.wire.fragments import fragment
from app.errors import InvalidValue
from app.inference.service import Answer
from app.modalities.text.items import ScoreItem, ScoreMethod, ScoreResult
from app.modalities.text.scoring.items import (
    AnyScoreItem,
    AnyScoreResult,
    CandidatesItem,
    CandidatesResult,
    PairItem,
    PairResult,
    RankBy,
    VariantMethod,
    VariantsItem,
    VariantsResult,
)
from app.modalities.text.scoring.notation import MAX_SUBSTITUTIONS, SEPARATOR
from app.types import Task, TruncationSide

MAX_VARIANT = 256  # characters
MAX_PAIRS = 16_384  # arrays and objects of a JSON body
MAX_TEXT = 1 << 20  # characters of a text of a pair; the model's own limit is lower
MAX_LETTERS = 256
ALL = "all"  # variants: every letter at every position

_VARIANT = {"type": "string", "minLength": 1, "maxLength": MAX_VARIANT}
_VARIANTS = {"type": "array", "items": _VARIANT, "minItems": 1, "maxItems": MAX_SUBSTITUTIONS}
Variants = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=MAX_VARIANT)], ...],
    Field(min_length=1, max_length=MAX_SUBSTITUTIONS, strict=False),
    FailFast(),
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    WithJsonSchema({"anyOf": [_VARIANT, _VARIANTS]}),
]
_METHODS = Literal["within-word-l2r", "original", "masked-marginals", "wild-type-marginals"]


class MinimalPair(Body):
    """Two texts to compare."""

    model_config = ConfigDict(strict=True)

    good: str = Field(min_length=1, max_length=MAX_TEXT, description="Text that should be the more probable one")
    bad: str = Field(min_length=1, max_length=MAX_TEXT, description="Text that should be the less probable one")


class ScoreRequest(LongTextOptions):
    model_config = ConfigDict(strict=True)

    task: ClassVar[Task] = Task.SCORE

    input: Texts | None = Field(
        None, description="A text, or a list of texts; required without `pairs`. With `variants`, the wild type"
    )
    pairs: list[MinimalPair] | None = Field(
        None, min_length=1, max_length=MAX_PAIRS, description="Pairs of texts to compare, without `input`"
    )
    candidates: Targets = Field(
        (),
        min_length=1,
        description="Words or phrases, each of which is put in place of the one mask of each input; the texts are "
        "ranked",
    )
    variants: Variants = Field(
        (),
        description="Substitutions of letters of the input, such as `H24C`, or several at once as `A1G:T3S`; `all` for "
        "every letter at every position",
    )
    offset: Annotated[int, Field(ge=0, le=MAX_COUNT, description="Position of the first letter, for `variants`")] = 1
    letters: str = Field(
        "",
        max_length=MAX_LETTERS,
        pattern=r"^\S*$",
        description="Letters that replace others with `variants` of `all`; by default all of the vocabulary",
    )
    method: _METHODS | None = Field(
        None,
        description="Method of masking. Texts: `within-word-l2r` (default) masks a token and those that follow it in "
        "its word, `original` masks each token alone. Variants: `masked-marginals` (default) masks the position of a "
        "substitution, `wild-type-marginals` masks nothing",
    )
    rank_by: Annotated[RankBy, Field(strict=False)] = Field(
        RankBy.LOG_LIKELIHOOD,
        description="Figure by which `pairs` and `candidates` are compared; `pseudo_perplexity` is a mean over tokens",
    )
    top_k: Annotated[
        int, Field(ge=0, le=20, description="Number of the model's best tokens to list at each position")
    ] = 0
    truncation_side: Side = TruncationSide.RIGHT

    @model_validator(mode="after")
    def _check_question(self) -> "ScoreRequest":
        asked = [name for name in ("pairs", "candidates", "variants") if getattr(self, name)]
        if len(asked) > 1:
            raise InvalidValue(f"`{asked[1]}` cannot be combined with `{asked[0]}`", param=asked[1])
        question = asked[0] if asked else "input"
        if self.input is None and question != "pairs":
            raise InvalidValue("`input` is required", param="input")
        if self.input is not None and question == "pairs":
            raise InvalidValue("`input` cannot be combined with `pairs`", param="input")
        _check_options(self, question)
        if self.variants:
            _check_variants(self.variants, self.input or [])
        return self

    @property
    def inputs(self) -> Sequence[Any]:
        return self.pairs if self.pairs is not None else self.input or []

    def to_item(self, given: str | MinimalPair) -> AnyScoreItem:
        if isinstance(given, MinimalPair):
            return PairItem(self._text_item(given.good), self._text_item(given.bad), self.rank_by)
        if self.candidates:
            return CandidatesItem(self._text_item(given), self.candidates, self.rank_by)
        if self.variants:
            return VariantsItem(
                text=given,
                variants=None if self.variants == (ALL,) else self.variants,
                letters=self.letters,
                offset=self.offset,
                method=VariantMethod(self.method or VariantMethod.MASKED_MARGINALS),
                windows=self.overflow == "windows",
                stride=self.stride,
            )
        return self._text_item(given)

    def _text_item(self, text: str) -> ScoreItem:
        return ScoreItem(
            text=text,
            method=ScoreMethod(self.method or ScoreMethod.WITHIN_WORD_L2R),
            top_k=self.top_k,
            truncate=self.truncate,
            truncation_side=self.truncation_side,
            windows=self.overflow == "windows",
            stride=self.stride,
        )

    def write(self, answer: Answer[AnyScoreResult]) -> bytes:
        body: dict[str, Any] = {"object": "score", "model": answer.model}
        body["data"] = [{"index": index} | _write_result(result) for index, result in enumerate(answer.results)]
        if self.pairs is not None:
            preferred = [result.preferred for result in answer.results if isinstance(result, PairResult)]
            body["accuracy"] = preferred.count("good") / len(preferred)
        body["usage"] = usage(sum(result.tokens for result in answer.results))
        return orjson.dumps(body)


# Options that have a meaning for some questions alone.
_OPTIONS = {
    "offset": ("variants",),
    "letters": ("variants",),
    "rank_by": ("pairs", "candidates"),
    "top_k": ("input",),
    "truncate": ("input", "pairs"),
    "overflow": ("input", "pairs", "variants"),
    "stride": ("input", "pairs", "variants"),
    "truncation_side": ("input", "pairs"),
}


def _check_options(body: ScoreRequest, question: str) -> None:
    """Raises InvalidValue for an option that means nothing for the question."""
    for name, questions in _OPTIONS.items():
        if question not in questions and getattr(body, name) != ScoreRequest.model_fields[name].default:
            without = " and ".join(f"`{each}`" for each in questions)
            raise InvalidValue(f"`{name}` is an option of {without}, not of `{question}`", param=name)
    methods: list[str] = list(VariantMethod if question == "variants" else ScoreMethod)
    if body.method is not None and body.method not in methods:
        known = " and ".join(f"`{each}`" for each in methods)
        raise InvalidValue(f"`method` is `{body.method}`; the methods for `{question}` are {known}", param="method")
    if body.letters and body.variants != (ALL,):
        raise InvalidValue("`letters` is an option of `variants` of `all`", param="letters")


def _check_variants(variants: Sequence[str], wild_types: Sequence[str]) -> None:
    """Raises InvalidValue for more than one wild type, and for more substitutions than a request may have."""
    if len(wild_types) > 1:
        raise InvalidValue(f"`variants` are of one input; `input` holds {len(wild_types)}", param="input")
    count = len(variants) + sum(each.count(SEPARATOR) for each in variants)
    if count > MAX_SUBSTITUTIONS:
        raise InvalidValue(
            f"`variants` hold {count} substitutions; one request may have {MAX_SUBSTITUTIONS}", param="variants"
        )


def _write_result(result: AnyScoreResult) -> dict[str, Any]:
    match result:
        case ScoreResult():
            return {
                "log_likelihood": result.log_likelihood,
                "pseudo_perplexity": result.pseudo_perplexity,
                "tokens": fragment(result.scored),
            }
        case PairResult():
            return {"good": result.good, "bad": result.bad, "preferred": result.preferred}
        case CandidatesResult():
            return {"candidates": fragment(result.candidates)}
        case VariantsResult():
            return {"variants": fragment(result.variants)}


EXAMPLES = {
    "pair": {
        "summary": "Which of two sentences is the better English",
        "value": {"pairs": [{"good": "The cats near the door sleep.", "bad": "The cats near the door sleeps."}]},
    },
    "candidates": {
        "summary": "Phrases ranked in a context",
        "value": {"input": "She drank a cup of [MASK].", "candidates": ["green tea", "stone", "coffee"]},
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
