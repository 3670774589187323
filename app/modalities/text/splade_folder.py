"""Folders of sentence-transformers' SparseEncoder that are SPLADE models: a masked LM, and a pooling of its logits."""

from pathlib import Path
from typing import Any

from app.errors import InvalidModel
from app.modalities.model_files import read_json
from app.modalities.text.pipeline import SparsePooling

_PACKAGE = "sentence_transformers."
_ACTIVATIONS = {"relu": False, "log1p_relu": True}


def read_splade(folder: Path) -> SparsePooling | None:
    """Returns how a SPLADE folder pools logits; None for a folder of another kind. Raises InvalidModel."""
    if not (folder / "modules.json").is_file():
        return None
    listed = read_json(folder / "modules.json")
    names = [_name(each) for each in listed] if isinstance(listed, list) else []
    if len(names) != 2 or names[0] not in ("MLMTransformer", "Transformer") or names[1] != "SpladePooling":
        return None
    path = str(listed[1].get("path"))
    if path != Path(path).name:
        raise InvalidModel("the sentence-transformers module SpladePooling has its files outside the model folder")
    config = read_json(folder / path / "config.json")
    mode, activation = config.get("pooling_strategy", "max"), config.get("activation_function", "relu")
    if mode not in ("max", "sum") or activation not in _ACTIVATIONS:
        raise InvalidModel(f"the module SpladePooling with {mode!r} and {activation!r} is not supported")
    return SparsePooling(mode, double_log=_ACTIVATIONS[activation])


def _name(module: Any) -> str:
    """Returns the class of a module of sentence-transformers; empty for others."""
    kind = str(module.get("type", "")) if isinstance(module, dict) else ""
    return kind.rpartition(".")[2] if kind.startswith(_PACKAGE) else ""
