"""Masked language modelling."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from app.errors import InvalidValue
from app.methods.base import MAX_COUNT, MAX_MODEL_ID, Method, TrainingHyperparameters, field_error, is_unset, rename
from app.methods.tokenizers import OPTION_KINDS, TokenizerOptions
from app.types import Documents, ModalityName

# Maximum characters of a word for a new WordPiece tokenizer; longer words are cut. The greedy search for the longest
# entry takes time in the square of a word's length, and so does the training of a vocabulary.
WORD_CHARS = 50
LONG_WORDS = f".{{{WORD_CHARS}}}"  # the regular expression that cuts them

_MAX_BATCH = 4_194_304  # tokens of an optimizer step

# The default learning rate of ModernBERT presets of up to this width; that of wider ones falls with the width. It
# normalizes before each layer, not after it as BERT does, and so learns at higher rates (benchmarks/RESULTS.md).
_MODERNBERT_RATE, _MODERNBERT_WIDTH = 2e-3, 256


class MlmHyperparameters(TokenizerOptions, TrainingHyperparameters):
    """Masked language modelling: BERT (arXiv 1810.04805), with later findings as options."""

    MODEL_FIELDS: ClassVar[tuple[str, ...]] = ("teacher", "tokenizer_model")

    sequence_length: int = Field(
        128, ge=8, le=8192, description="Tokens of a row. At most the maximum length of a stored model"
    )
    batch_tokens: int = Field(
        4096, ge=8, le=_MAX_BATCH, description="Tokens of an optimizer step, over all micro-batches"
    )
    masking_rate: float | None = Field(
        None, gt=0, lt=1, description="Share of the tokens to predict; 0.3 from scratch, else 0.15"
    )
    final_masking_rate: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Share of the tokens to predict at the end of the run. The share changes linearly from masking_rate"
        " in the course of the run; masking_rate",
    )
    masking_strategy: Literal["token", "whole-word", "span"] = Field(
        "token", description="Units that are masked together"
    )
    mean_span_length: float = Field(
        3.0,
        ge=1,
        le=10,
        description="Mean number of words of a span, for the strategy span. Lengths are geometric, as in SpanBERT",
    )
    mask_token_share: float = Field(
        0.8, ge=0, le=1, description="Share of the tokens to predict that are replaced by the mask token"
    )
    random_token_share: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Share of the tokens to predict that are replaced by a random token. The rest is not replaced",
    )

    tokenizer_model: str | None = Field(
        None, max_length=MAX_MODEL_ID, description="Stored model whose tokenizer a preset uses"
    )
    text_column: str = Field(
        "text", min_length=1, max_length=256, description="Field or column of structured files that contains the text"
    )
    documents: Documents = Field(
        "auto",
        description="What one document of a plain text file is: a line, a paragraph between empty lines, or the file."
        " auto detects it. Rows of tables and records of FASTA, FASTQ and SMILES files are documents anyway",
    )
    min_characters: int | None = Field(
        None, ge=1, le=MAX_COUNT, description="Minimum length of a document in characters. Shorter ones are skipped"
    )
    max_characters: int | None = Field(
        None, ge=1, le=MAX_COUNT, description="Maximum length of a document in characters. Longer ones are skipped"
    )
    deduplicate: Literal["off", "exact", "normalized"] = Field(
        "off",
        description="Removal of duplicates. exact drops documents that equal an earlier one; normalized drops those"
        " that equal an earlier one except for case and white space",
    )

    teacher: str | None = Field(
        None,
        max_length=MAX_MODEL_ID,
        description="Stored encoder whose sentence embeddings the model learns to reproduce",
    )
    teacher_weight: float = Field(
        5.0, ge=0, le=1000, description="Weight of the loss for the distance from the teacher's embeddings"
    )

    @model_validator(mode="before")
    @classmethod
    def _accept_batch_size(cls, data: Any) -> Any:
        """Accepts OpenAI's `batch_size`, which counts rows."""
        if not isinstance(data, Mapping):
            return data
        size, length = data.get("batch_size"), data.get("sequence_length")
        length = cls.model_fields["sequence_length"].default if is_unset(length) else length
        if is_unset(size) or not isinstance(length, int | float):
            return data
        if isinstance(size, bool) or not (isinstance(size, int) or (isinstance(size, float) and size.is_integer())):
            raise field_error("batch_size", size, "int_type")
        if not 1 <= size <= _MAX_BATCH / max(length, 1):
            message = "it should be at least 1, and times sequence_length at most {limit}"
            raise field_error("batch_size", size, PydanticCustomError("value_error", message, {"limit": _MAX_BATCH}))
        return rename({**data, "batch_size": size * length}, "batch_size", "batch_tokens")

    @classmethod
    def scratch_learning_rate(cls, config: Mapping[str, Any]) -> float:
        if config.get("model_type") != "modernbert":
            return super().scratch_learning_rate(config)
        return _MODERNBERT_RATE * min(1.0, _MODERNBERT_WIDTH / int(config["hidden_size"]))

    @classmethod
    def defaults_for(cls, stored: Mapping[str, Any]) -> dict[str, Any]:
        limit = longest_sequence(stored)
        default = cls.model_fields["sequence_length"].default
        return {"sequence_length": limit} if limit is not None and limit < default else {}

    def check_for(self, config: Mapping[str, Any] | None) -> None:
        if config is None:
            self._refuse_another_tokenizer()
            return
        if self.tokenizer == "base" and self.tokenizer_model is None:
            raise InvalidValue(
                "a preset has no tokenizer of its own; name the model whose tokenizer it uses", param="tokenizer_model"
            )
        if self.tokenizer_model and self.tokenizer not in ("auto", "base"):
            raise InvalidValue(
                f"tokenizer is {self.tokenizer}, a new one, and tokenizer_model names an existing one; set only one",
                param="tokenizer",
            )
        self.check_options()

    def _refuse_another_tokenizer(self) -> None:
        names = ["tokenizer_model", "vocab_size", *OPTION_KINDS]
        if self.tokenizer not in ("auto", "base"):
            names.append("tokenizer")
        for name in names:
            if name in self.model_fields_set:
                raise InvalidValue(f"a stored model keeps its tokenizer; `{name}` is for presets", param=name)

    def check_stored(self, stored: Mapping[str, Any] | None, named: Mapping[str, Mapping[str, Any]]) -> None:
        limit = longest_sequence(stored or {})
        if limit is not None and self.sequence_length > limit:
            raise InvalidValue(
                f"sequence_length is {self.sequence_length}, but the model reads at most {limit} tokens",
                param="sequence_length",
            )
        limit = longest_sequence(named.get("teacher", {}))
        if limit is not None and self.sequence_length > limit:
            raise InvalidValue(
                f"{self.teacher} cannot teach this model: it reads at most {limit} tokens, and sequence_length is"
                f" {self.sequence_length}",
                param="teacher",
            )

    @model_validator(mode="after")
    def _check_combinations(self) -> "MlmHyperparameters":
        if self.mask_token_share + self.random_token_share > 1:
            raise ValueError("mask_token_share and random_token_share add up to more than 1")
        micro = self.batch_tokens // (self.gradient_accumulation_steps * self.processes)
        if micro < self.sequence_length:
            raise ValueError(
                f"a micro-batch holds {micro} tokens (batch_tokens / gradient_accumulation_steps / processes), "
                f"less than one sequence of {self.sequence_length}"
            )
        if self.min_characters and self.max_characters and self.min_characters > self.max_characters:
            raise ValueError("min_characters is more than max_characters")
        return self


def longest_sequence(config: Mapping[str, Any]) -> int | None:
    """Returns the maximum number of tokens of a stored model, or None if it is unknown.

    config: the model's configuration, with `model_max_length` of its tokenizer.
    """
    positions, longest = config.get("max_position_embeddings"), config.get("model_max_length")
    if not isinstance(positions, int):
        return None
    if config.get("model_type") in ("roberta", "xlm-roberta"):  # positions begin after the padding token's id
        padding = config.get("pad_token_id")
        positions -= (1 if padding is None else padding) + 1
    elif config.get("model_type") == "mpnet":  # the padding position is always 1
        positions -= 2
    return min(positions, int(longest)) if isinstance(longest, int | float) else positions


def _bert(layers: int, width: int) -> dict[str, Any]:
    return {
        "model_type": "bert",
        "num_hidden_layers": layers,
        "hidden_size": width,
        "num_attention_heads": max(2, width // 64),
        "intermediate_size": width * 4,
    }


def _modernbert(layers: int, width: int) -> dict[str, Any]:
    return {
        "model_type": "modernbert",
        "num_hidden_layers": layers,
        "hidden_size": width,
        "num_attention_heads": max(2, width // 64),
        "intermediate_size": width * 3 // 2,
    }


def _esm(layers: int, width: int) -> dict[str, Any]:
    return {
        "model_type": "esm",
        "num_hidden_layers": layers,
        "hidden_size": width,
        "num_attention_heads": width // 16,
        "intermediate_size": width * 4,
        "position_embedding_type": "rotary",
        # Token dropout scales the embeddings of a row by its share of masks, also where other texts share the row.
        "token_dropout": False,
    }


# Sizes of the BERT miniatures (arXiv 1908.08962) and of ModernBERT (arXiv 2412.13663).
TEXT_PRESETS: dict[str, dict[str, Any]] = {
    "bert-tiny": _bert(2, 128),
    "bert-mini": _bert(4, 256),
    "bert-small": _bert(4, 512),
    "bert-medium": _bert(8, 512),
    "bert-base": _bert(12, 768),
    # esm-small has the size of the smallest ESM-2 (doi 10.1126/science.ade2574).
    "esm-tiny": _esm(4, 128),
    "esm-mini": _esm(6, 256),
    "esm-small": _esm(6, 320),
    "modernbert-tiny": _modernbert(3, 128),
    "modernbert-mini": _modernbert(6, 256),
    "modernbert-small": _modernbert(9, 512),
    "modernbert-base": _modernbert(22, 768),
}

METHODS = {"mlm": Method(ModalityName.TEXT, MlmHyperparameters, TEXT_PRESETS)}
