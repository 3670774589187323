"""An item as a model of patches sees it, and how a file becomes one. No torch: files are read in child processes."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from app.modalities.patch.grid import PatchGrid


@dataclass(frozen=True)
class DecodedMedia:
    """An item as a model sees it: windows [W, *sizes, C] float32 in [0, 1], of which most items have one.

    length: how much of the joined windows' first axis is the item; what comes after it is padding. None: all.
    times: (start, end) of each window in seconds, where the item has a duration.
    """

    windows: NDArray[np.float32]
    info: Any = None  # what `place` and the rendering of the answer need to know of the item
    length: int | None = None
    times: tuple[tuple[float, float], ...] | None = None

    def rows(self, grid: PatchGrid) -> list[int]:
        """Returns, for each window, the patches along the first axis that hold something of the item."""
        size, total = grid.sizes[0], len(self.windows) * grid.sizes[0]
        rest = (total if self.length is None else self.length) - np.arange(len(self.windows)) * size
        return [grid.rows(int(each)) for each in np.clip(rest, 0, size)]


class FileProcessor(Protocol):
    def read(self, content: bytes) -> DecodedMedia: ...
