"""Items and results of embedding, in every modality. No torch: the API builds and reads these."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidValue
from app.modalities.patch.decoded_media import DecodedMedia, FileProcessor
from app.types import InputType, Pooling, TruncationSide

CHUNK_SIZE = 256  # tokens of a chunk, unless the request says another number or the model reads fewer
MAX_CHUNKS = 1024  # of a text

Prompt = TypeVar("Prompt")
EmbedOutput = Literal["pooled", "windows", "tokens", "words", "chunks", "sparse", "multi_vector"]
TEXT_OUTPUTS: Sequence[EmbedOutput] = ("tokens", "words", "chunks")  # whose vectors are of parts of a text


@dataclass(frozen=True)
class ChunkOptions:
    """How a text is cut into chunks.

    size, overlap: tokens of the text in a chunk, and those that it shares with the next one.
    late: whether tokens see the whole text, or as much of it as the model reads, instead of their chunk alone.
    """

    size: int = CHUNK_SIZE
    overlap: int = 0
    late: bool = False

    def count(self, tokens: int, longest: int | None) -> int:
        """Returns the most chunks that a text of so many tokens has: each adds at least half of what it may add.

        longest: tokens that the model reads; None for no such bound.
        """
        size = min(self.size, longest or self.size)
        return min(MAX_CHUNKS, 1 + 2 * tokens // max(1, size - self.overlap))


@dataclass(frozen=True)
class EmbedItem:
    """input: a text, its token ids with or without the special tokens around them, or a media file, decoded or not.

    pooling, normalize: None is the model's own way. layer: the hidden states that are pooled, by transformers'
    numbers: 0 are the embeddings of tokens, n those of layer n, and negative numbers count from the last; None: the
    last. dimensions: keep only the first ones. force_dimensions: also of a model that was not trained for it.
    truncate, truncation_side: of a text that is longer than the model reads. max_tokens: a text that has more is cut
    to so many instead, special ones included. split: embed it in windows instead, and
    return the mean of their vectors, weighted by their tokens; truncate comes first.
    output: one vector for the input, one a window of it (media only), one a token (a patch, in media),
    special tokens included, one a word or one a chunk. chunks: how a text is cut into chunks. sparse: a weight for each
    entry of the vocabulary. multi_vector: one a token, for comparisons by MaxSim. terms: the greatest number of weights
    of a sparse vector; None for all that are not 0.
    token_ids: whether the client says that token ids are of the model's own vocabulary.
    prompt: a text that goes before the input. prompt_name: the name of one of the model's prompts, instead.
    input_type: the purpose of the text, which chooses among the model's prompts, where neither of them is given.
    Without all three, the model's default prompt goes before the text, if it has one.
    """

    input: str | tuple[int, ...] | bytes | DecodedMedia
    pooling: Pooling | None = None
    normalize: bool | None = True
    layer: int | None = None
    truncate: bool = False
    split: bool = False
    truncation_side: TruncationSide = TruncationSide.RIGHT
    max_tokens: int | None = None
    dimensions: int | None = None
    force_dimensions: bool = False
    output: EmbedOutput = "pooled"
    chunks: ChunkOptions = ChunkOptions()
    terms: int | None = None
    prompt: str | None = None
    prompt_name: str | None = None
    input_type: InputType | None = None
    token_ids: bool = False


@dataclass(frozen=True)
class TextPart:
    """A part of a text that has a vector: a token, a word or a chunk.

    start, end: its characters in the text as sent; None for special tokens, for those of a prompt, and for token ids.
    id: of a token; None for other parts.
    """

    text: str
    start: int | None
    end: int | None
    id: int | None = None
    special: bool = False


@dataclass(frozen=True)
class SparseVector:
    """The entries of the vocabulary with a weight above 0, that of the highest weight first.

    indices, weights: [n] each. tokens: the entries as text.
    """

    indices: NDArray[np.int64]
    weights: NDArray[np.float32]
    tokens: Sequence[str]


@dataclass(frozen=True)
class EmbedResult:
    vector: NDArray[np.float32]  # [D], or [windows, D], [tokens, D], [words, D] or [chunks, D] as `output` asks for
    tokens: int  # that the model read, special ones included
    times: tuple[tuple[float, float], ...] | None = None  # of the windows: (start, end) in seconds, where it has any
    parts: int = 1  # windows that a too long text was split into
    spans: Sequence[TextPart] | None = None  # of the tokens, words or chunks of a text
    sparse: SparseVector | None = None  # the answer to `output` sparse, of which `vector` has the weights


@dataclass(frozen=True)
class Matryoshka:
    """The sizes to which the vectors of a model were trained to be cut, in any order; empty if they are unknown.

    Sizes between them serve too (Kusupati et al., "Matryoshka Representation Learning", arXiv 2205.13147).
    """

    sizes: tuple[int, ...] = ()


def check_dimensions(item: EmbedItem, size: int, matryoshka: Matryoshka | None = None) -> None:
    """Raises InvalidValue for a number of dimensions that the model's vectors cannot, or should not, be cut to.

    size: of the model's vectors.
    """
    wanted = item.dimensions
    if wanted is None:
        return
    if not 1 <= wanted <= size:
        raise InvalidValue(f"dimensions is {wanted}; this model's vectors have {size}", param="dimensions")
    least = size if matryoshka is None else min(matryoshka.sizes, default=1)
    if wanted >= least or item.force_dimensions:
        return
    reason = (
        f"this model is not a Matryoshka model: it was not trained for vectors of fewer than {size} dimensions"
        if matryoshka is None
        else f"the smallest size that this model was trained for is {least}"
    )
    raise InvalidValue(
        f'dimensions is {wanted}, and {reason}. "truncate_dim": "force" cuts them nevertheless', param="dimensions"
    )


def find_prompt(prompts: Mapping[str, Prompt], name: str) -> Prompt:
    """Returns the prompt of a name. Raises InvalidValue for a name that the model does not have."""
    if name not in prompts:
        has = ", ".join(sorted(prompts)) or "none"
        raise InvalidValue(f"the model has no prompt {name!r}; its prompts: {has}", param="prompt_name")
    return prompts[name]


def check_media_item(item: EmbedItem, modality: str, dimensions: int, *, class_token: bool) -> None:
    """Raises InvalidValue for an item that a model of media does not embed.

    dimensions: of the model's vectors. class_token: whether it has one.
    """
    if not isinstance(item.input, bytes):
        raise InvalidValue(
            f"this model embeds {modality}, not text: send a file as a data URI (data:…;base64,…)", param="input"
        )
    for param in ("prompt", "prompt_name"):
        if getattr(item, param) is not None:
            raise InvalidValue("prompts go before texts, and this model embeds media", param=param)
    if item.layer is not None:
        raise InvalidValue("only models of text give the hidden states of a layer", param="layer")
    if item.output in ("words", "chunks", "sparse", "multi_vector"):
        what = {"sparse": "sparse vectors", "multi_vector": "vectors for MaxSim"}.get(item.output, item.output)
        raise InvalidValue(f"only texts have {what}, and this model embeds media", param="output")
    check_dimensions(item, dimensions)
    if item.pooling is Pooling.CLS and not class_token:
        raise InvalidValue("this model has no class token; pooling can be mean or max", param="pooling")


def scale_vector(vector: NDArray[np.float32], item: EmbedItem) -> NDArray[np.float32]:
    """[..., D] of length 1, unless the item asks for another."""
    if item.normalize is not False:
        vector = vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-12)
    return vector.astype(np.float32, copy=False)


def decode_windows(processor: FileProcessor, item: EmbedItem) -> EmbedItem:
    """Returns the item with its file decoded, without `info`: only reconstructions use it, and it may be large."""
    if not isinstance(item.input, bytes):
        return item
    return replace(item, input=replace(processor.read(item.input), info=None))
