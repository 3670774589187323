"""Items and results of embedding, in every modality. No torch: the API builds and reads these."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidValue
from app.modalities.patch.decoded_media import DecodedMedia, FileProcessor
from app.types import Pooling, TruncationSide


@dataclass(frozen=True)
class EmbedItem:
    """input: a text, its token ids with or without the special tokens around them, or a media file, decoded or not.

    pooling, normalize: None is the model's own way. dimensions: keep only the first ones.
    truncate, truncation_side: of a text that is longer than the model reads. split: embed it in windows instead, and
    return the mean of their vectors, weighted by their tokens; truncate comes first.
    output: one vector for the input, one a window of it (media only), or one a token (a patch, in media),
    special tokens included.
    token_ids: whether the client says that token ids are of the model's own vocabulary.
    prompt_name: of the model's prompts, the one that goes before the text; None is the model's default, if it has one.
    """

    input: str | tuple[int, ...] | bytes | DecodedMedia
    pooling: Pooling | None = None
    normalize: bool | None = True
    truncate: bool = False
    split: bool = False
    truncation_side: TruncationSide = TruncationSide.RIGHT
    dimensions: int | None = None
    output: Literal["pooled", "windows", "tokens"] = "pooled"
    prompt_name: str | None = None
    token_ids: bool = False


@dataclass(frozen=True)
class EmbedResult:
    vector: NDArray[np.float32]  # [D], [windows, D] or [tokens, D], as `output` asks for
    tokens: int  # that the model read, special ones included
    times: tuple[tuple[float, float], ...] | None = None  # of the windows: (start, end) in seconds, where it has any
    parts: int = 1  # windows that a too long text was split into


def check_media_item(item: EmbedItem, modality: str, dimensions: int, *, class_token: bool) -> None:
    """Raises InvalidValue for an item that a model of media does not embed.

    dimensions: of the model's vectors. class_token: whether it has one.
    """
    if not isinstance(item.input, bytes):
        raise InvalidValue(
            f"this model embeds {modality}, not text: send a file as a data URI (data:…;base64,…)", param="input"
        )
    if item.prompt_name is not None:
        raise InvalidValue("prompts go before texts, and this model embeds media", param="prompt_name")
    if item.dimensions is not None and not 1 <= item.dimensions <= dimensions:
        raise InvalidValue(
            f"dimensions is {item.dimensions}; this model's vectors have {dimensions}", param="dimensions"
        )
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
