"""Adapters of PEFT: small weights beside adapter_config.json, which change a model that is in the store already."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from app.errors import InvalidModel, InvalidValue, ModelNotFound
from app.store.manifest import DataSource
from app.store.model_folder import CHECKPOINTS, has_safetensors, model_files, read_object
from app.store.staging import Convert, describe_file, write_json
from app.store.store import ModelEntry, ModelStore

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")  # the first one that is there is read
ADAPTER_FILES = (ADAPTER_CONFIG, *ADAPTER_WEIGHTS)


def is_adapter(names: Iterable[Path]) -> bool:
    """Whether a folder with files of these names holds an adapter and no weights of a whole model."""
    top = {name for name in names if len(name.parts) == 1}
    whole = has_safetensors(top) or any(name.match(pattern) for name in top for pattern in CHECKPOINTS)
    return Path(ADAPTER_CONFIG) in top and not whole


def read_adapter(folder: Path, source: str) -> dict[str, Any]:
    """Reads adapter_config.json. Raises InvalidModel."""
    return read_object(model_files(folder, (ADAPTER_CONFIG,))[Path(ADAPTER_CONFIG)], ADAPTER_CONFIG, source)


def _find_weights(folder: Path, source: str) -> tuple[str, Path]:
    """The name and the file of an adapter's weights: safetensors, or else a PyTorch checkpoint. Raises InvalidModel."""
    found = model_files(folder, ADAPTER_WEIGHTS)
    for name in ADAPTER_WEIGHTS:
        if Path(name) in found:
            return name, found[Path(name)]
    raise InvalidModel(
        f"{source} holds {ADAPTER_CONFIG} and no weights; {ADAPTER_WEIGHTS[0]} is needed", param="source"
    )


def stage_adapter(folder: Path, source: str, target: Path, convert: Convert) -> DataSource:
    """Puts an adapter's configuration, and its weights as safetensors, into the folder `target`.

    Returns the weights as they were. Raises InvalidModel.
    """
    name, weights = _find_weights(folder, source)
    write_json(target / ADAPTER_CONFIG, read_adapter(folder, source))
    if name == ADAPTER_WEIGHTS[0]:
        (target / name).symlink_to(weights)
    else:
        convert({name: weights}, target)
        (target / "model.safetensors").rename(target / ADAPTER_WEIGHTS[0])
    return describe_file(name, weights)


def find_base(store: ModelStore, config: dict[str, Any], chosen: str | None) -> ModelEntry:
    """The stored model that an adapter changes: the one that is chosen, else the one that its configuration names.

    That is a model of the same name in the store, or one that was imported from there.
    Raises ModelNotFound, and InvalidValue for an adapter that names no base.
    """
    if chosen:
        return store.resolve(chosen)
    named = config.get("base_model_name_or_path")
    if not isinstance(named, str) or not named:
        raise InvalidValue(f"{ADAPTER_CONFIG} names no base model; name one in the store (--base NAME)", param="base")
    for entry in store.list():
        if entry.name == named or _repository(entry) == named:
            return entry
    raise ModelNotFound(
        f"the adapter's base {named[:200]!r} is not in the store; import it first (cloze models import"
        f" {named[:200]} --name NAME), or name a stored one (--base NAME)",
        param="base",
    )


def _repository(entry: ModelEntry) -> str | None:
    """The hub id or the folder that a model was imported from, without its commit."""
    return entry.manifest.origin.partition("@")[0] if entry.manifest.origin else None
