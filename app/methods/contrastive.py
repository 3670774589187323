"""Contrastive training of text encoders."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from app.errors import InvalidValue
from app.methods.base import Method, TrainingHyperparameters
from app.methods.text import longest_sequence
from app.types import Documents, ModalityName

DEFAULT_LENGTH = 128  # tokens of a text
_SIZES = r"^[1-9]\d{0,4}(,[1-9]\d{0,4}){0,15}$"
Column = Annotated[str, Field(min_length=1, max_length=256)]


class ContrastiveHyperparameters(TrainingHyperparameters):
    """Contrastive training of sentence embeddings on pairs of texts, with in-batch negatives: arXiv 1705.00652.

    The loss is that of sentence-transformers' MultipleNegativesRankingLoss.
    """

    CONTINUE_LEARNING_RATE: ClassVar[float] = 5e-5

    learning_rate: float | None = Field(None, gt=0, le=1, description="Peak learning rate of AdamW; 5e-5")
    batch_size: int = Field(
        64,
        ge=2,
        le=65_536,
        description="Pairs of an optimizer step. The texts of the others are the negatives of a pair, so more pairs"
        " make a harder task",
    )
    gradient_accumulation_steps: int = Field(
        1,
        ge=1,
        le=1024,
        description="Micro-batches into which the batch of a step is divided, to save memory. All pairs of the batch"
        " stay negatives of each other, and without dropout the gradients stay the same: gradient caching (arXiv"
        " 2101.06983)",
    )
    sequence_length: int | None = Field(
        None,
        ge=8,
        le=8192,
        description="Tokens of a text, special ones included. The end of a longer text is cut off; 128, or as many as"
        " the model embeds",
    )

    positives: Literal["column", "dropout"] = Field(
        "column",
        description="Where the positive of a text comes from: a column of a table, or the same text under another"
        " dropout mask, for texts without pairs (SimCSE, arXiv 2104.08821)",
    )
    anchor_column: Column = Field("anchor", description="Column of the first text of a pair")
    positive_column: Column = Field("positive", description="Column of the second text of a pair")
    negative_column: Column = Field(
        "negative",
        description="Column of a text that is unlike the first one, a hard negative. Tables and rows may lack it",
    )
    score_column: Column = Field(
        "score",
        description="Column of a validation file with the similarity of two texts. If it has the column, the file"
        " measures the correlation of cosines with the scores",
    )
    text_column: Column = Field(
        "text", description="Field or column of structured files that contains the text, for dropout"
    )
    documents: Documents = Field(
        "auto", description="What one text of a plain text file is, for dropout: a line, a paragraph, or the file"
    )

    scale: float = Field(
        20.0, gt=0, le=1000, description="Factor of the cosines before the softmax, the inverse of a temperature"
    )
    symmetric: bool = Field(
        False, description="Also predict the first text of each pair from the second, and take the mean of both losses"
    )
    matryoshka_dimensions: str | None = Field(
        None,
        pattern=_SIZES,
        max_length=100,
        description="Sizes to which embeddings can be cut, such as 256,128,64. The loss is the mean over these sizes"
        " and the full one (arXiv 2205.13147); only the full size",
    )
    dropout: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Dropout probability of all dropout layers; the model's own, and 0.1 if positives come from"
        " dropout and the model has none",
    )

    @field_validator("matryoshka_dimensions", mode="before")
    @classmethod
    def _accept_lists(cls, value: Any) -> Any:
        """Accepts a list of sizes, and a single one."""
        sizes = value if isinstance(value, list) else [value]
        whole = [each for each in sizes if isinstance(each, int) and not isinstance(each, bool)]
        return ",".join(map(str, whole)) if whole and len(whole) == len(sizes) else value

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes of `matryoshka_dimensions`, the largest first."""
        found = {int(size) for size in (self.matryoshka_dimensions or "").split(",") if size}
        return tuple(sorted(found, reverse=True))

    @model_validator(mode="after")
    def _check_combinations(self) -> "ContrastiveHyperparameters":
        parts = self.gradient_accumulation_steps * self.processes
        if self.batch_size < parts:
            raise ValueError(f"a batch_size of {self.batch_size} cannot be divided into {parts} micro-batches")
        if self.compile:
            raise ValueError("compile is not available for contrastive training: its batches have many lengths")
        if self.positives == "dropout" and self.dropout == 0:
            raise ValueError("positives is dropout, so dropout cannot be 0: both views of a text would be equal")
        return self

    def check_stored(self, stored: Mapping[str, Any] | None, named: Mapping[str, Mapping[str, Any]]) -> None:
        limit = longest_sequence(stored or {})
        if limit is not None and (self.sequence_length or 0) > limit:
            raise InvalidValue(
                f"sequence_length is {self.sequence_length}, but the model reads at most {limit} tokens",
                param="sequence_length",
            )


METHODS = {"contrastive": Method(ModalityName.TEXT, ContrastiveHyperparameters, {}, predicts=False)}
