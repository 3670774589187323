"""Bodies of `POST /v1/tokenize`."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, StrictBool, model_validator

from app.api.schemas.common import MAX_ID, TextInputs, Usage, usage
from app.inference.service import Answer, Report
from app.inference.tokenization import TokenParts
from app.methods.tokenizers import TokenizerKind, TokenizerOptions, TokenizerReport
from app.modalities.text.items import TokenInfo
from app.submission.tokenizer_trials import TokenizerTrial

MAX_FILES, MAX_SAMPLE = 16, 1000
MAX_SAMPLE_TEXT = 1_000_000  # characters; only the first 50,000 of all samples are read


class NewTokenizer(TokenizerOptions):
    """The tokenizer that a job with these hyperparameters would train."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    tokenizer: Literal["auto", TokenizerKind] = Field(
        "auto", alias="type", description="Kind of the tokenizer, the hyperparameter `tokenizer` of a job"
    )


class TokenizeRequest(TextInputs):
    tokenizer: NewTokenizer | None = Field(
        None,
        description="A new tokenizer instead of a model's: it is trained on the beginning of training_files, or on"
        " sample, or on the input if neither is given",
    )
    training_files: tuple[Annotated[str, Field(max_length=MAX_ID)], ...] = Field(
        (), max_length=MAX_FILES, strict=False, description="Ids of the files that the new tokenizer is trained on"
    )
    sample: tuple[Annotated[str, Field(max_length=MAX_SAMPLE_TEXT)], ...] = Field(
        (), max_length=MAX_SAMPLE, strict=False, description="Texts that the new tokenizer is trained on"
    )
    text_column: str = Field(
        "text", min_length=1, max_length=256, description="Field or column of training_files that contains the text"
    )
    add_special_tokens: Annotated[
        StrictBool, Field(description="Include the special tokens that the model puts around a text")
    ] = True

    @model_validator(mode="after")
    def _check_source(self) -> "TokenizeRequest":
        for name in ("training_files", "sample", "text_column"):
            if self.tokenizer is None and name in self.model_fields_set:
                raise ValueError(f"`{name}` is for a new tokenizer; give `tokenizer` too")
        if self.tokenizer is not None and self.model is not None:
            raise ValueError("`model` and `tokenizer` exclude each other")
        if self.training_files and self.sample:
            raise ValueError("`training_files` and `sample` exclude each other")
        return self

    def to_trial(self) -> TokenizerTrial:
        """Returns the trial of a new tokenizer. `tokenizer` is given."""
        assert self.tokenizer is not None
        return TokenizerTrial(
            options=self.tokenizer,
            files=self.training_files,
            sample=self.sample,
            text_column=self.text_column,
            texts=tuple(self.input),
            add_special_tokens=self.add_special_tokens,
        )

    def write(self, answer: Answer[TokenParts], report: Report) -> bytes:
        data: list[dict[str, Any]] = []
        count = 0
        for index, tokens in enumerate(answer.results):
            parts = []
            for part in tokens:
                count += len(part)
                parts.append(orjson.dumps(list(map(_token, part)))[1:-1])  # no other thread runs while orjson writes
            data.append({"index": index, "tokens": orjson.Fragment(b"[" + b",".join(parts) + b"]")})
        return _write_answer(answer.model, report(), data, count)


def _token(token: TokenInfo) -> dict[str, Any]:
    """Returns the fields of TokenObject."""
    return {
        "id": token.id,
        "text": token.text,
        "special": token.special,
        "start": token.start,
        "end": token.stop,
        "stop": token.stop,
    }


def write_trial(report: TokenizerReport, texts: Sequence[Sequence[TokenInfo]]) -> bytes:
    """Writes the answer for a new tokenizer."""
    data = [{"index": index, "tokens": list(map(_token, tokens))} for index, tokens in enumerate(texts)]
    count = sum(map(len, texts))
    return _write_answer(None, report, data, count)


def _write_answer(model: str | None, report: TokenizerReport, data: Sequence[Mapping[str, Any]], count: int) -> bytes:
    """Writes a TokenizeResponse with `count` tokens."""
    body = {"object": "list", "model": model, "tokenizer": report.model_dump(), "data": data, "usage": usage(count)}
    return orjson.dumps(body)


class TokenObject(BaseModel):
    id: int = Field(description="Id of the token in the vocabulary")
    text: str = Field(description="Text of the token")
    special: bool = Field(description="Whether the token is a special token")
    start: int | None = Field(description="Offset of the first character in the input")
    end: int | None = Field(description="Offset behind the last character in the input")
    stop: int | None = Field(description="The same as `end`; kept for older clients")


class TokenizedObject(BaseModel):
    index: int
    tokens: list[TokenObject] = Field(description="Tokens of the input, in order")


class TokenizeResponse(BaseModel):
    object: Literal["list"] = "list"
    model: str | None = Field(description="The model as name@version; null for a new tokenizer")
    tokenizer: TokenizerReport = Field(
        description="The tokenizer, tried on the input; that of a model on at most the first 50,000 characters"
    )
    data: list[TokenizedObject]
    usage: Usage


EXAMPLES = {
    "one": {"summary": "One text", "value": {"input": "Masked models fill in what is missing."}},
    "new": {
        "summary": "A new tokenizer",
        "value": {"input": ["CC(=O)O"], "tokenizer": {"type": "regex"}, "sample": ["c1ccccc1", "CC(=O)OC"]},
    },
}
