"""Prefixes that wrappers of a model leave before the names of its tensors."""

import json
from collections.abc import Collection
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save_file

from app.modalities.model_files import as_invalid_model, read_json

_WRAPPERS = ("module.", "_orig_mod.")  # of DataParallel and of torch.compile, in any order
_INDEX = "model.safetensors.index.json"


def wrapper_prefix(names: Collection[str]) -> str:
    """The prefixes of wrappers that all names begin with, together; empty if there are none."""
    prefix = ""
    while found := next((each for each in _WRAPPERS if names and all(n.startswith(prefix + each) for n in names)), ""):
        prefix += found
    return prefix


def strip_prefixes(folder: Path) -> None:
    """Renames the tensors of a folder's safetensors where all begin with a wrapper's prefix.

    Files that are links are replaced; what they lead to stays as it is. Raises InvalidModel.
    """
    files = sorted(folder.glob("model*.safetensors"))
    with as_invalid_model("the weights cannot be read"):
        prefix = wrapper_prefix([name for file in files for name in _names(file)])
        if not prefix:
            return
        for file in files:
            tensors = {name.removeprefix(prefix): tensor for name, tensor in load_file(file).items()}
            file.unlink()
            save_file(tensors, file, {"format": "pt"})
    index = folder / _INDEX
    if index.is_file():
        content = read_json(index)
        content["weight_map"] = {name.removeprefix(prefix): file for name, file in content["weight_map"].items()}
        index.unlink()
        index.write_text(json.dumps(content, indent=2), encoding="utf-8")


def _names(file: Path) -> list[str]:
    with safe_open(file, framework="pt") as weights:
        return list(weights.keys())
