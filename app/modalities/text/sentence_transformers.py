"""How a folder embeds, in the files that sentence-transformers reads and writes."""

import json
from pathlib import Path
from typing import Any

from app.errors import InvalidModel
from app.modalities.model_files import read_json
from app.types import Pooling

_FLAGS = {"cls_token": Pooling.CLS, "mean_tokens": Pooling.MEAN, "max_tokens": Pooling.MAX}
_MODULES = "sentence_transformers.models"


def read(folder: Path) -> dict[str, Any]:
    """TextObjective's `pooling`, `normalize` and `embed_max_length`; {} for a folder that does not say."""
    if not (folder / "modules.json").is_file():
        return {}
    listed = read_json(folder / "modules.json")
    try:
        # Types are dotted paths that moved between releases; their last word did not.
        modules = {str(m["type"]).rpartition(".")[2]: folder / m["path"] for m in listed}
    except (KeyError, TypeError) as e:
        raise InvalidModel("modules.json of the model folder is not a list of types and paths") from e
    unknown = modules.keys() - {"Transformer", "Pooling", "Normalize"}
    if unknown:
        raise InvalidModel(f"the sentence-transformers module {min(unknown)} is not supported")
    options: dict[str, Any] = {"normalize": "Normalize" in modules}
    if "Pooling" in modules:
        options["pooling"] = _pooling(read_json(modules["Pooling"] / "config.json"))
    if (folder / "sentence_bert_config.json").is_file():
        options["embed_max_length"] = read_json(folder / "sentence_bert_config.json").get("max_seq_length")
    return options


def write(folder: Path, *, pooling: Pooling, normalize: bool, max_length: int, dimension: int) -> None:
    """Makes a saved encoder a folder that sentence-transformers, too, embeds with in the same way."""
    parts = [("", "Transformer"), ("1_Pooling", "Pooling"), *([("2_Normalize", "Normalize")] if normalize else [])]
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"{_MODULES}.{kind}"} for i, (path, kind) in enumerate(parts)
    ]
    for path, _ in parts:
        (folder / path).mkdir(parents=True, exist_ok=True)
    flags = {f"pooling_mode_{flag}": mode is pooling for flag, mode in _FLAGS.items()}
    _write(folder / "modules.json", modules)
    _write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": dimension, **flags})
    _write(folder / "sentence_bert_config.json", {"max_seq_length": max_length})


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _pooling(config: dict[str, Any]) -> Pooling:
    """Both forms: `"pooling_mode": "cls"` and the older `"pooling_mode_cls_token": true`."""
    mode = config.get("pooling_mode")
    if mode is None:
        flags = [key for key, on in config.items() if key.startswith("pooling_mode_") and on is True]
        modes = [_FLAGS.get(f.removeprefix("pooling_mode_"), f) for f in flags] or [Pooling.MEAN]
        mode = modes[0] if len(modes) == 1 else modes
    if mode not in list(Pooling):
        raise InvalidModel(f"the pooling {mode!r} is not supported; mean, cls and max are")
    return Pooling(mode)
