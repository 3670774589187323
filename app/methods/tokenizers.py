"""Hyperparameters of the tokenizer that a job trains for a preset."""

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from app.errors import InvalidValue
from app.methods.patterns import MAX_PATTERN, find_pattern

TokenizerKind = Literal["wordpiece", "bpe", "unigram", "characters", "regex", "kmer", "bytes"]
KINDS: tuple[TokenizerKind, ...] = get_args(TokenizerKind)
SPECIAL_TOKENS = 5  # entries of every new vocabulary: padding, unknown, first, last, mask
LEAST_VOCABULARY = 5

# The kinds of tokenizers that read each option.
OPTION_KINDS: dict[str, tuple[TokenizerKind, ...]] = {
    "lowercase": ("wordpiece", "unigram", "characters"),
    "strip_accents": ("wordpiece", "unigram", "characters"),
    "tokenizer_pattern": ("regex",),
    "kmer_length": ("kmer",),
    "kmer_stride": ("kmer",),
}


class TokenizerOptions(BaseModel):
    """The kind of a new tokenizer, and its options. Defaults lose nothing that the kind can keep."""

    tokenizer: Literal["auto", "base", TokenizerKind] = Field(
        "auto",
        description="Tokenizer of a preset: auto chooses a kind from the data, base is that of tokenizer_model, and the"
        " other values are kinds of new tokenizers",
    )
    vocab_size: int = Field(
        16_384,
        ge=LEAST_VOCABULARY,
        le=262_144,
        description="Maximum size of a new tokenizer's vocabulary. Five entries are kept beside the special tokens",
    )
    lowercase: bool = Field(
        False, description="Lowercase the text, for the tokenizers wordpiece, unigram and characters"
    )
    strip_accents: bool = Field(
        False, description="Remove accents and voice marks, for the tokenizers wordpiece, unigram and characters"
    )
    tokenizer_pattern: str | None = Field(
        None,
        min_length=1,
        max_length=MAX_PATTERN,
        description="Pattern of the tokenizer regex: smiles, code, or a regular expression whose matches are tokens;"
        " smiles",
    )
    kmer_length: int = Field(6, ge=2, le=12, description="Letters of a token, for the tokenizer kmer")
    kmer_stride: int = Field(
        1,
        ge=1,
        le=12,
        description="Letters between the starts of two tokens, for the tokenizer kmer: 1 (overlapping) or kmer_length",
    )

    def check_options(self) -> None:
        """Raises InvalidValue for options that the kind of tokenizer does not read, or that exclude each other."""
        for name, kinds in OPTION_KINDS.items():
            if getattr(self, name) != type(self).model_fields[name].default and self.tokenizer not in kinds:
                raise InvalidValue(f"`{name}` is an option of the tokenizer {' or '.join(kinds)}", param=name)
        if self.tokenizer == "kmer" and self.kmer_stride not in (1, self.kmer_length):
            raise InvalidValue(
                f"kmer_stride is {self.kmer_stride}; it may be 1 or kmer_length, {self.kmer_length}",
                param="kmer_stride",
            )
        if self.tokenizer_pattern:
            find_pattern(self.tokenizer_pattern)


class TokenizerReport(BaseModel):
    """The tokenizer of a job, tried on a sample of the job's text."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(description="Kind of the tokenizer; base is that of a stored model")
    reason: str = Field(description="Reason for the choice of this kind")
    vocabulary: int = Field(description="Number of entries in the vocabulary that was trained on the sample")
    tokens: int = Field(description="Number of tokens in the sample")
    unknown_share: float = Field(description="Share of the characters that become the unknown token")
    lossless: bool = Field(description="Whether decoding the tokens restores every text of the sample exactly")
    changes: tuple[str, ...] = Field(
        (), description="Properties of the text that decoding changes, such as white space or case"
    )
    lost: tuple[str, ...] = Field((), description="Characters that are lost, the most frequent first")
    unit: Literal["word", "token"] = Field(
        "word",
        description="What a mask in a text can replace: token if each token can be masked in its place and the others"
        " stay as they are, as in tokenizers of characters; word if only whole words can",
    )

    def describe(self) -> str:
        """Returns what is lost, as a phrase."""
        if self.lossless:
            return "decoding its tokens restores the text"
        parts = [f"decoding its tokens changes {', '.join(self.changes)}"]
        if self.unknown_share:
            parts.append(f"{self.unknown_share:.1%} of the text is unknown")
        if self.lost:
            parts.append(f"lost characters: {' '.join(map(repr, self.lost))}")
        return "; ".join(parts)
