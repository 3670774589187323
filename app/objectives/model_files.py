"""What every modality reads of a model folder, and what none of them takes."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from app.errors import InvalidModel


def read_json(path: Path) -> Any:
    """Raises InvalidModel where the file is missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise InvalidModel(f"the model folder has no readable {path.name}") from e
    except ValueError as e:
        raise InvalidModel(f"{path.name} of the model folder is not JSON: {e}") from e


_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.msgpack", "*.h5")


def read_config(folder: Path, model_types: Collection[str], kind: str) -> dict[str, Any]:
    """config.json of a folder with weights that nothing is executed to read. Raises InvalidModel.

    kind: of the models that model_types are, for the message.
    """
    config = read_json(folder / "config.json")
    if not isinstance(config, dict):
        raise InvalidModel("config.json of the model folder is not a JSON object")
    if "auto_map" in config:
        raise InvalidModel("the model needs its own Python code (auto_map in config.json), which is never run")
    model_type = str(config.get("model_type"))
    if model_type not in model_types:
        raise InvalidModel(f"model_type {model_type!r} is not {kind} known here: {', '.join(sorted(model_types))}")
    if not any(folder.glob("model*.safetensors")):
        pickles = [path.name for pattern in _PICKLES for path in sorted(folder.glob(pattern))]
        holds = f"only {', '.join(pickles)}, which can run code when read" if pickles else "no weights"
        raise InvalidModel(f"the model folder holds {holds}; model.safetensors is needed")
    return config


def first_line(error: Exception) -> str:
    """Of what a library says, the part that is for its user."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
