"""Bodies of `POST /v1/tokenize`."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StrictBool

from app.api.schemas.common import Body, Model, Texts, Usage


class TokenizeRequest(Body):
    model: Model = None
    input: Texts
    add_special_tokens: Annotated[
        StrictBool, Field(description="Include the special tokens that the model puts around a text")
    ] = True


class TokenObject(BaseModel):
    id: int
    text: str
    special: bool
    start: int | None = Field(description="Offset of the first character in the input")
    end: int | None = Field(description="Offset behind the last character")
    stop: int | None = Field(description="The same as `end`; kept for older clients")


class TokenizedObject(BaseModel):
    index: int
    tokens: list[TokenObject]


class TokenizeResponse(BaseModel):
    object: Literal["list"] = "list"
    model: str
    data: list[TokenizedObject]
    usage: Usage


EXAMPLES = {"one": {"summary": "One text", "value": {"input": "Masked models fill in what is missing."}}}
