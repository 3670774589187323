"""Items and results of reconstruction, in every modality that is cut into patches. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidValue
from app.modalities.patch.decoded_media import DecodedMedia, FileProcessor
from app.modalities.patch.masking import MaskDefaults, count_masked, mask_random, sample

Box = tuple[float, float, float, float]
Range = tuple[float, float]


@dataclass(frozen=True)
class MaskRequest:
    """The mask to apply, in one of three ways; by default as the model was trained.

    strategy, ratio, seed: drawn at random, the same for the same seed. None: the model's own.
    boxes: (left, top, right, bottom) in pixels of the item as it was sent, upright.
    ranges: (start, end) in seconds. With boxes too, what is in both is masked.
    grid: one value a patch, nested as the model's grid of patches; true or 1 is masked.

    Every patch that a box or range touches is masked.
    """

    strategy: str | None = None
    ratio: float | None = None
    seed: int = 0
    boxes: tuple[Box, ...] = ()
    ranges: tuple[Range, ...] = ()
    grid: Any = None


@dataclass(frozen=True)
class ReconstructItem:
    """content: a media file, decoded or not."""

    content: bytes | DecodedMedia
    mask_request: MaskRequest = field(default_factory=MaskRequest)


def decode_item(processor: FileProcessor, item: ReconstructItem) -> ReconstructItem:
    """Returns the item with its file decoded."""
    return item if isinstance(item.content, DecodedMedia) else replace(item, content=processor.read(item.content))


@dataclass(frozen=True)
class ReconstructResult:
    """Values in [0, 1]; a long item's windows are joined along the first axis.

    mask [*grid]: True is masked. loss: the model's own, over the masked patches. psnr and baselines: dB over
    the masked patches, of the model and of `mean` and `interpolation` from the visible ones.
    original, predicted [*sizes, C]: visible patches of `predicted` are the original's.
    pixel_mask [*sizes]: the mask, one value a pixel. info: what the modality's processor noted of the item.
    """

    mask: NDArray[np.bool_]
    loss: float
    psnr: float
    baselines: Mapping[str, float]
    original: NDArray[np.float32]
    predicted: NDArray[np.float32]
    pixel_mask: NDArray[np.bool_]
    tokens: int  # patches that the item was cut into
    info: Any = None


def draw_masks(
    request: MaskRequest, rows: Sequence[int], shape: tuple[int, ...], defaults: MaskDefaults
) -> NDArray[np.bool_]:
    """The masks of a request without boxes and ranges, one a window. → [windows, *shape]. Raises InvalidValue.

    rows: of each window, how many places along the first axis are not padding. `mask_padding` masks the padding.
    """
    masks = np.zeros((len(rows), *shape), dtype=bool)
    if request.grid is not None:
        total = sum(rows)
        masks.reshape(-1, *shape[1:])[:total] = checked_mask(_explicit(request.grid, (total, *shape[1:])), "mask")
        return masks
    strategy = request.strategy or defaults.strategy
    ratio = defaults.ratio if request.ratio is None else request.ratio
    for window, (mask, filled) in enumerate(zip(masks, rows, strict=True)):
        rng = np.random.default_rng([request.seed, window])
        mask[:filled] = sample(defaults.samplers, strategy, (filled, *shape[1:]), ratio, rng)
    return masks


def mask_padding(masks: NDArray[np.bool_], rows: Sequence[int], defaults: MaskDefaults) -> None:
    """Masks the model's own share of the padding, behind `rows` of each window of masks [windows, *shape].

    In training padding is masked as much as everything else. A model that sees all of it behind a short sound
    has never seen its like: the spoken digits of cloze-audio came out at 11.7 dB, and at 17.3 with it masked.
    """
    for window, (mask, filled) in enumerate(zip(masks, rows, strict=True)):
        padding = mask[filled:]
        if padding.size > 1:
            rng = np.random.default_rng([window, filled])  # the same for the same mask, however the request gave it
            padding |= mask_random(padding.shape, count_masked(padding.size, defaults.ratio), rng)


def checked_mask(mask: NDArray[np.bool_], param: str) -> NDArray[np.bool_]:
    """The mask itself. Raises InvalidValue where nothing is masked, or nothing is left to see."""
    if not mask.any():
        raise InvalidValue(f"`{param}` masks no patch of the item", param=param)
    if mask.all():
        raise InvalidValue(f"`{param}` masks every patch of the item; leave at least one patch visible", param=param)
    return mask


def touched(low: float, high: float, patches: int, length: float) -> slice:
    """The patches that [low, high) touches along an axis of `length`, cut into so many. Empty beyond its ends."""
    first, last = max(low, 0.0) * patches / length, min(high, length) * patches / length
    return slice(int(first), max(int(np.ceil(last)), int(first))) if first < last else slice(0, 0)


def _explicit(grid: Any, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    try:
        values = np.array(grid)
    except ValueError as e:  # rows of different lengths
        raise InvalidValue("the rows of `mask` differ in length", param="mask") from e
    if values.shape != shape or not np.isin(values, (0, 1)).all():
        wanted = " × ".join(map(str, shape))
        raise InvalidValue(
            f"`mask` should be {wanted} zeros and ones, nested; it is {' × '.join(map(str, values.shape))}",
            param="mask",
        )
    return values.astype(bool)
