"""The steps from the vectors of a text's tokens to its embedding, as sentence-transformers has them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

import torch
from torch import Tensor, nn

from app.errors import InvalidModel
from app.modalities.comparison import OF_VECTORS, InputComparison
from app.modalities.embedding import Matryoshka
from app.types import CompareMethod, SimilarityFunction


class PoolingMode(StrEnum):
    """How the vectors of a text's tokens become one, by sentence-transformers' names and in its order."""

    CLS = "cls"
    MAX = "max"
    MEAN = "mean"
    MEAN_SQRT_LENGTH = "mean_sqrt_len_tokens"
    WEIGHTED_MEAN = "weightedmean"
    LAST = "lasttoken"


class Dense(nn.Module):
    """A linear layer with an activation and, optionally, a residual connection around both.

    residual: projects the input to the width of the output; Identity where they are equal; None without connection.
    """

    def __init__(self, linear: nn.Linear, activation: nn.Module, residual: nn.Module | None = None) -> None:
        super().__init__()
        self.linear, self.activation, self.residual = linear, activation, residual

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.activation(self.linear(x))
        return out if self.residual is None else out + self.residual(x)


class Normalize(nn.Module):
    """Scales vectors to length 1."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.normalize(x, p=2, dim=-1)


@dataclass(frozen=True)
class SparsePooling:
    """How the logits of a text's tokens become one weight for each entry of the vocabulary.

    mode: of the weights of all tokens. double_log: log(1 + x) is applied twice, as in OpenSearch's models
    (https://arxiv.org/abs/2504.14839).
    """

    mode: Literal["max", "sum"] = "max"
    double_log: bool = False


@dataclass(frozen=True)
class QueryExpansion:
    """How a query is filled up with tokens that it does not have, whose vectors are compared too.

    length: tokens of a query, special ones included. fixed: longer queries are cut to it.
    attend: the tokens of the query see those that are added, which see it in any case.
    token: that is added; None: the mask token.
    """

    length: int
    fixed: bool = True
    attend: bool = False
    token: str | None = None


@dataclass(frozen=True)
class MultiVector:
    """How a vector of each token is made and compared (ColBERT, https://arxiv.org/abs/2004.12832).

    projection: modules over the vectors of tokens. normalize: vectors are scaled to length 1 at last.
    skipped_words: tokens without a vector, such as punctuation. skipping: purposes of the texts that they are left out
    of; texts without one are documents. expansion: of queries.
    query_length, document_length: tokens of a text of this purpose; None: as many as the model reads.
    mean: MaxSim is divided by the number of the query's vectors. markers: prompts that begin with a token of their own,
    which the tokenizer may split.
    """

    projection: nn.Sequential = field(default_factory=nn.Sequential)
    normalize: bool = True
    skipped_words: Sequence[str] = ()
    skipping: Sequence[str] = ("document",)
    expansion: QueryExpansion | None = None
    query_length: int | None = None
    document_length: int | None = None
    mean: bool = False
    markers: Sequence[str] = ()

    def __deepcopy__(self, memo: object) -> "MultiVector":
        return self  # replicas of a model share it: running it changes nothing

    def dimensions(self, hidden_size: int) -> int:
        """The size of the vectors, for a model with tokens of `hidden_size`. Raises InvalidModel."""
        return _width_after(self.projection, hidden_size)


@dataclass(frozen=True)
class SentencePipeline:
    """How a text model embeds, unless a request asks for something else.

    pooling: the modes, whose vectors are concatenated.
    include_prompt: the tokens of the prompt are pooled too.
    head: modules between the pooling and the final normalization: Dense, nn.LayerNorm and Normalize.
    normalize: the vectors are scaled to length 1 at last, before `truncate_dim` cuts them.
    truncate_dim: how many numbers of a vector are kept; None: all.
    prompts: texts that go before others, by name. default_prompt: the name of the one that goes before every text.
    max_length: tokens that it embeds, where its author set less than the model can read.
    matryoshka: the sizes that the vectors were trained to be cut to; None: they were not.
    settings: what else config_sentence_transformers.json says, to be written again.
    lower_case: the tokenizer lower-cases texts first.
    sparse: how it makes the sparse vectors that it was trained for; None: it was trained for other ones.
    multi_vector: how it makes the vectors of tokens that it was trained for; None: it was trained for other ones.
    """

    pooling: tuple[PoolingMode, ...] = (PoolingMode.MEAN,)
    include_prompt: bool = True
    head: nn.Sequential = field(default_factory=nn.Sequential)
    normalize: bool = True
    truncate_dim: int | None = None
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str | None = None
    max_length: int | None = None
    matryoshka: Matryoshka | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    lower_case: bool = False
    sparse: SparsePooling | None = None
    multi_vector: MultiVector | None = None

    def __deepcopy__(self, memo: object) -> "SentencePipeline":
        return self  # replicas of a model share it: running it changes nothing

    @property
    def modules(self) -> Sequence[nn.Module]:
        """The modules with weights that follow the encoder."""
        return (self.head,) if self.multi_vector is None else (self.head, self.multi_vector.projection)

    @property
    def trained_for(self) -> Literal["sparse", "multi_vector"] | None:
        """The output of embeddings that it was trained for; None for one vector of a text."""
        if self.sparse is not None:
            return "sparse"
        return None if self.multi_vector is None else "multi_vector"

    def comparison(self) -> InputComparison:
        """Returns how the model compares two texts, by its settings."""
        if self.sparse is not None:
            return InputComparison(CompareMethod.SPARSE, SimilarityFunction.DOT)
        if self.multi_vector is not None:
            function = SimilarityFunction.MEAN_MAXSIM if self.multi_vector.mean else SimilarityFunction.MAXSIM
            return InputComparison(CompareMethod.MULTI_VECTOR, function)
        named = str(self.settings.get("similarity_fn_name"))
        return InputComparison(function=SimilarityFunction(named) if named in OF_VECTORS else SimilarityFunction.COSINE)

    def dimensions(self, hidden_size: int) -> int:
        """The size of the vectors, for a model with tokens of `hidden_size`. Raises InvalidModel."""
        width = _width_after(self.head, hidden_size * len(self.pooling))
        return width if self.truncate_dim is None else min(width, self.truncate_dim)


def _width_after(modules: nn.Sequential, width: int) -> int:
    """Returns the size of vectors after modules that are given vectors of `width`. Raises InvalidModel."""
    for module in modules:
        reads = made = width
        if isinstance(module, Dense):
            reads, made = module.linear.in_features, module.linear.out_features
        elif isinstance(module, nn.LayerNorm):
            reads = made = module.normalized_shape[0]
        if reads != width:
            raise InvalidModel(
                f"the sentence-transformers module {type(module).__name__} reads vectors of {reads} numbers, and"
                f" those before it have {width}"
            )
        width = made
    return width


def pool(modes: Sequence[PoolingMode], hidden_states: Tensor, lengths: Tensor, skipped: Tensor | None = None) -> Tensor:
    """Pools hidden_states [tokens, H] of B texts, one after another, of lengths [B] → [B, H × modes].

    skipped: [B], how many of each text's first tokens are left out, fewer than it has.
    """
    if skipped is None:
        skipped = torch.zeros_like(lengths)
    else:
        hidden_states = hidden_states[_positions(lengths) >= skipped.repeat_interleave(lengths)]
        lengths = lengths - skipped
    return torch.cat([POOLERS[mode](hidden_states, lengths, skipped) for mode in modes], dim=-1)


def _positions(lengths: Tensor) -> Tensor:
    """The index [tokens] of each token in its text."""
    starts = lengths.cumsum(0) - lengths
    return torch.arange(int(lengths.sum()), device=lengths.device) - starts.repeat_interleave(lengths)


def _mean(hidden_states: Tensor, lengths: Tensor, skipped: Tensor) -> Tensor:
    return torch.segment_reduce(hidden_states, "mean", lengths=lengths, axis=0)


def _mean_sqrt_length(hidden_states: Tensor, lengths: Tensor, skipped: Tensor) -> Tensor:
    total = torch.segment_reduce(hidden_states, "sum", lengths=lengths, axis=0)
    return total / lengths.to(total.dtype).sqrt().unsqueeze(-1)


def _weighted_mean(hidden_states: Tensor, lengths: Tensor, skipped: Tensor) -> Tensor:
    """Weights are positions in the whole text, from 1, with what is skipped."""
    weights = (_positions(lengths) + skipped.repeat_interleave(lengths) + 1).to(hidden_states.dtype).unsqueeze(-1)
    total = torch.segment_reduce(hidden_states * weights, "sum", lengths=lengths, axis=0)
    return total / torch.segment_reduce(weights, "sum", lengths=lengths, axis=0)


def _cls(hidden_states: Tensor, lengths: Tensor, skipped: Tensor) -> Tensor:
    return hidden_states[lengths.cumsum(0) - lengths]


def _last_token(hidden_states: Tensor, lengths: Tensor, skipped: Tensor) -> Tensor:
    return hidden_states[lengths.cumsum(0) - 1]


def _max(hidden_states: Tensor, lengths: Tensor, skipped: Tensor) -> Tensor:
    return torch.segment_reduce(hidden_states, "max", lengths=lengths, axis=0)


# hidden_states [tokens, H] of B texts, lengths [B], skipped tokens before each [B] → [B, H]
POOLERS: Mapping[PoolingMode, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    PoolingMode.CLS: _cls,
    PoolingMode.MAX: _max,
    PoolingMode.MEAN: _mean,
    PoolingMode.MEAN_SQRT_LENGTH: _mean_sqrt_length,
    PoolingMode.WEIGHTED_MEAN: _weighted_mean,
    PoolingMode.LAST: _last_token,
}
