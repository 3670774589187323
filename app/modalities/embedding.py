"""Items and results of embedding, in every modality. No torch: the API builds and reads these."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.modalities.patch.decoded_media import DecodedMedia, FileReader
from app.types import Pooling, TruncationSide


@dataclass(frozen=True)
class EmbedItem:
    """input: a text, its token ids with or without the special tokens around them, or a media file, decoded or not.

    pooling, normalize: None is the model's own way. dimensions: keep only the first ones.
    truncate, truncation_side: of a text that is longer than the model reads.
    output: one vector for the input, one a window of it (media only), or one a token (a patch, in media),
    special tokens included.
    prompt_name: of the model's prompts, the one that goes before the text; None is the model's default, if it has one.
    """

    input: str | tuple[int, ...] | bytes | DecodedMedia
    pooling: Pooling | None = None
    normalize: bool | None = True
    truncate: bool = False
    truncation_side: TruncationSide = TruncationSide.RIGHT
    dimensions: int | None = None
    output: Literal["pooled", "windows", "tokens"] = "pooled"
    prompt_name: str | None = None


@dataclass(frozen=True)
class EmbedResult:
    vector: NDArray[np.float32]  # [D], [windows, D] or [tokens, D], as `output` asks for
    tokens: int  # that the model read, special ones included
    times: tuple[tuple[float, float], ...] | None = None  # of the windows: (start, end) in seconds, where it has any


def decode_windows(reader: FileReader, item: EmbedItem) -> EmbedItem:
    """Returns the item with its file decoded, without `info`: only reconstructions use it, and it may be large."""
    if not isinstance(item.input, bytes):
        return item
    return replace(item, input=replace(reader.read(item.input), info=None))
