"""Estimates of the data and the cost of a job, as a modality gives them. No torch: the API estimates."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from app.methods.tokenizers import TokenizerReport

Found = TypeVar("Found")

# The folder of a stored model. Raises ModelNotFound.
FindFolder = Callable[[str], Path]


class CheckedFiles(NamedTuple, Generic[Found]):
    """A job's files, each by what its check found."""

    samples: Sequence[Found]  # of each training file
    weights: Sequence[float]
    held_out: Found | None  # of the validation file, if there is one

    @property
    def files(self) -> list[Found]:
        """Returns the training files and the held-out file, if there is one."""
        return [*self.samples, *([] if self.held_out is None else [self.held_out])]


@dataclass(frozen=True)
class DataAmount:
    """The amount of a job's data. The first three are of all training files; None: not known.

    sampled: some file was read in part, and the rest is taken to be alike.
    epoch_tokens: tokens of one epoch. shard_bytes: of the prepared data, those held out included.
    step_tokens: of an optimizer step, if the data tell it better than the model's cost.
    tokenizer: of texts. read_as: number of text files by what one document of them is.
    """

    documents: int
    samples: int | None = None
    tokens: int | None = None
    sampled: bool = False
    epoch_tokens: float = 0.0
    shard_bytes: float = 0.0
    step_tokens: int | None = None
    tokenizer: TokenizerReport | None = None
    read_as: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Layers:
    """The sizes of a transformer's layers."""

    count: int
    hidden_size: int
    intermediate: int
    heads: int
    gated: bool = False  # two projections into the feed-forward layer, as ModernBERT has them

    @property
    def parameters(self) -> int:
        """Those that every token is multiplied with."""
        return self.count * (4 * self.hidden_size**2 + (3 if self.gated else 2) * self.hidden_size * self.intermediate)

    def flops(self, length: float) -> float:
        """Floating-point operations a token: forward 2 a parameter, backward twice that (arXiv 2001.08361)."""
        return 6 * self.parameters + 12 * self.count * self.hidden_size * length

    def activations(self, length: float) -> float:
        """Numbers that a token's forward pass keeps for the backward one, after arXiv 2205.05198."""
        feed_forward = (4 if self.gated else 2) * self.intermediate
        return self.count * (10 * self.hidden_size + feed_forward + 2 * self.heads * length)


def layers_of(config: Mapping[str, Any], prefix: str = "") -> Layers:
    """By the names that transformers has for the layers of a vision transformer. Raises KeyError."""
    count, hidden_size, intermediate, heads = (
        int(config[prefix + name])
        for name in ("num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads")
    )
    return Layers(count, hidden_size, intermediate, heads)


class Cost(NamedTuple):
    """The cost of training a model. A token is a patch where items are cut into patches."""

    parameters: int
    flops: float  # a token
    activations: float  # numbers kept for a token
    step_tokens: int  # of an optimiser step


class Estimator(Protocol):
    """model: a preset's name or a stored model's id; `find` returns the folder of the latter."""

    def amount(self, model: str, hyperparameters: Any, files: CheckedFiles[Any], find: FindFolder) -> DataAmount:
        """Raises InvalidData where it is plain that there is too little data."""
        ...

    def cost(self, model: str, hyperparameters: Any, find: FindFolder) -> Cost | None:
        """None where the model's configuration says too little."""
        ...


def stored_config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """Reads a configuration of a model folder; empty if there is none."""
    file = folder / name
    found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return found if isinstance(found, dict) else {}
