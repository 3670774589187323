"""Bodies of `POST /v1/tokenize`."""

from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, Field, StrictBool

from app.api.schemas.common import TextInputs, Usage, usage
from app.inference.service import Answer
from app.inference.tokenization import TokenParts
from app.modalities.text.items import TokenInfo


class TokenizeRequest(TextInputs):
    add_special_tokens: Annotated[
        StrictBool, Field(description="Include the special tokens that the model puts around a text")
    ] = True

    def write(self, answer: Answer[TokenParts]) -> bytes:
        data: list[dict[str, Any]] = []
        count = 0
        for index, tokens in enumerate(answer.results):
            parts = []
            for part in tokens:
                count += len(part)
                parts.append(orjson.dumps(list(map(_token, part)))[1:-1])  # no other thread runs while orjson writes
            data.append({"index": index, "tokens": orjson.Fragment(b"[" + b",".join(parts) + b"]")})
        return orjson.dumps({"object": "list", "model": answer.model, "data": data, "usage": usage(count)})


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
