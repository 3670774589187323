"""The masks of a text by meaning, in bodies of `POST /v1/fill-mask`, and their predictions."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from app.api.schemas.common import MAX_COUNT, Body
from app.api.schemas.score_answers import RankedTokenObject
from app.api.wire.fragments import fragment
from app.modalities.text.candidates.options import MaskChoice
from app.modalities.text.candidates.results import MaskedGroup

MAX_GROUPS = 1000  # spans or words of a request

Offset = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Span = Annotated[list[Offset], Field(min_length=2, max_length=2)]


class MaskBody(Body):
    """Exactly one of `spans`, `words` and `ratio`."""

    model_config = ConfigDict(strict=True)

    spans: Annotated[list[Span], Field(min_length=1, max_length=MAX_GROUPS)] | None = Field(
        None, description="Start and end characters; every token of a span is masked"
    )
    words: Annotated[list[Offset], Field(min_length=1, max_length=MAX_GROUPS)] | None = Field(
        None, description="Indexes of words, counted as in `/v1/score`: punctuation counts as words"
    )
    ratio: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="Share of the tokens to draw, rounded up"
    )
    seed: int = Field(0, ge=0, lt=1 << 32, description="Seed of the draw")
    whole_words: bool = Field(False, description="Draw whole words instead of tokens, with `ratio`")

    def to_choice(self) -> MaskChoice:
        """Raises InvalidValue."""
        return MaskChoice(
            None if self.spans is None else tuple((start, end) for start, end in self.spans),
            None if self.words is None else tuple(self.words),
            self.ratio,
            self.seed,
            self.whole_words,
        )


class MaskedTokenObject(BaseModel):
    position: int = Field(description="Index of the token among the input's tokens")
    token: int = Field(description="The token of the text that was masked")
    token_str: str
    start: int = Field(description="Offset of the first character in the input")
    end: int
    word: int = Field(description="Index of the token's word; punctuation counts as words")
    log_prob: float = Field(description="Natural logarithm of the token's probability")
    rank: int = Field(description="Rank of the token in the vocabulary; 1 is the most probable")
    candidates: list[RankedTokenObject] = Field(description="Most probable candidates, best first")
    entropy: float | None = Field(None, description="Entropy in nats over the whole vocabulary, with `entropy`")
    samples: list[RankedTokenObject] | None = Field(None, description="Drawn tokens, in their order, with `sample`")


class MaskedGroupObject(BaseModel):
    start: int = Field(description="Offset of the first masked character in the input")
    end: int
    text: str = Field(description="The masked part of the input")
    word: int | None = Field(description="Index of the word; null for a span")
    prediction: str = Field(description="The best candidates of the tokens, decoded together")
    tokens: list[MaskedTokenObject] = Field(description="Tokens of the group, with their predictions")


def write_masked_group(group: MaskedGroup) -> dict[str, Any]:
    """Returns the fields of MaskedGroupObject. What was not measured has none."""
    tokens = [{name: value for name, value in vars(token).items() if value is not None} for token in group.tokens]
    return vars(group) | {"tokens": fragment(tokens)}
