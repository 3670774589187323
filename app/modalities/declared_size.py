"""The size of the model that config.json describes, compared with the weights beside it.

Transformers allocates tables of the described shapes before it compares them with the stored ones, so a short
config.json could take all memory.
"""

import math
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import safe_open
from torch import nn

from app.errors import InvalidModel
from app.modalities.model_files import as_invalid_model

_FACTOR = 2  # a head that the weights lack may be as large as the rest
_MARGIN = 2**22  # numbers; for the smallest models


def check_declared_size(folder: Path, build: Callable[[], nn.Module]) -> None:
    """Raises InvalidModel if the model that `build` makes has far more parameters than the weights of the folder.

    build: makes the model without weights; called with `meta` as torch's device, so it allocates nothing.
    """
    with as_invalid_model("the model cannot be built"), torch.device("meta"):
        declared = sum(parameter.numel() for parameter in build().parameters())
    stored = _count_stored(folder)
    if declared > _FACTOR * stored + _MARGIN:
        raise InvalidModel(
            f"config.json describes a model of {declared:,} parameters, and the weights hold {stored:,} numbers"
        )


def _count_stored(folder: Path) -> int:
    """The numbers in all weights of a folder, by the headers of the files."""
    count = 0
    with as_invalid_model("the weights cannot be read"):
        for path in folder.glob("model*.safetensors"):
            with safe_open(path, framework="pt") as weights:
                count += sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    return count
