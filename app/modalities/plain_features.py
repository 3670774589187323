"""Features of a media file that need no model: what an evaluation compares models with."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class PlainFeatures:
    """name: as reports show it. extract: a file's features [D]; it can be pickled, and raises InvalidData and TooLarge.

    components: of a principal component analysis that comes first; None for none.
    """

    name: str
    extract: Callable[[bytes], NDArray[np.float32]]
    components: int | None = None
