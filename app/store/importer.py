"""Brings a model from outside into the store: a local folder, or a repository of the Hugging Face hub.

Only safetensors weights are taken, and code that comes with a model never runs.
"""

import json
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from app.errors import InvalidModel, InvalidValue, ModelNotFound, NotReady
from app.store.manifest import Manifest
from app.store.names import check_new_name
from app.store.store import MANIFEST, ModelEntry, ModelStore
from app.types import Modality, Task

# Weights, configuration, tokenizer or processor, papers; `1_Pooling/…` are sentence-transformers' modules.
FILES = (
    *("model*.safetensors", "*.json", "*.txt", "*.model", "README.md", "LICENSE*"),
    *("[0-9]_*/*.safetensors", "[0-9]_*/*.json"),
)
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_LICENSE = re.compile(r"\A---\s*\n(?:.*\n)*?license:\s*(\S+)\s*\n(?:.*\n)*?---")


class LoadedModel(Protocol):
    """What the importer asks of a loaded objective."""

    @property
    def modality(self) -> Modality: ...
    @property
    def tasks(self) -> Mapping[Task, Any]: ...
    def parameter_count(self) -> int: ...


def import_model(
    store: ModelStore, source: str, name: str, *, allow_hub: bool, load: Callable[[Path], LoadedModel]
) -> ModelEntry:
    """Publishes `source`, a folder or a hub id (`org/name`, `org/name@revision`), as a version of `name`.

    `load` is the registry's and proves that the model works before anything is published.
    Raises InvalidModel for what cannot be served, ModelNotFound and NotReady for a failing download.
    """
    check_new_name(name)
    try:
        folder = Path(source).expanduser()
    except RuntimeError as error:  # ~NAME, where nobody has that name
        raise InvalidValue(f"{source!r} is not a folder: {error}", param="source") from error
    origin = source
    if not folder.is_dir():
        if not allow_hub:
            raise ModelNotFound(
                f"{source!r} is not a folder; set CLOZE_ALLOW_HUB=1 to download it from the Hugging Face hub",
                param="source",
            )
        folder = _download(source)
        origin = f"{source.partition('@')[0]}@{folder.name}"  # the folder of a snapshot is named by its commit
    config = _read_config(folder, source)
    with tempfile.TemporaryDirectory(prefix="cloze-import-") as staging:
        chosen = Path(staging)
        _link_files(folder.resolve(), chosen)
        loaded = load(chosen)
        if not loaded.tasks:
            raise InvalidModel(f"{source} loads but can perform no task", param="source")
        manifest = Manifest(
            modality=loaded.modality,
            architecture=config["model_type"],
            tasks=tuple(loaded.tasks),
            parameters=loaded.parameter_count(),
            **{"description": f"Imported from {origin}"} | _provenance(folder),
        )
        return store.publish(chosen, manifest, name=name)


def _download(source: str) -> Path:
    """The local snapshot of a hub repository, without any file that the store would not take."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError

    repository, _, revision = source.partition("@")
    try:
        return Path(snapshot_download(repository, revision=revision or None, allow_patterns=list(FILES)))
    except HFValidationError as error:
        raise InvalidValue(f"{source!r} is neither a folder nor a hub id such as org/name", param="source") from error
    except RepositoryNotFoundError as error:
        raise ModelNotFound(f"the hub has no public model {repository!r}", param="source") from error
    except (HfHubHTTPError, OSError) as error:
        raise NotReady(f"{source!r} could not be downloaded: {str(error).splitlines()[0]}") from error


def _read_config(folder: Path, source: str) -> dict[str, Any]:
    """config.json, after everything that forbids serving the folder has been looked for."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InvalidModel(f"{source} has no config.json", param="source") from error
    except ValueError as error:
        raise InvalidModel(f"config.json of {source} is not valid JSON: {error}", param="source") from error
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise InvalidModel(f"config.json of {source} names no model_type", param="source")
    if "auto_map" in config:
        raise InvalidModel(f"{source} needs its own Python code, which is never run", param="source")
    if not any(folder.glob("model*.safetensors")):
        pickled = next((path.name for pattern in _PICKLED for path in sorted(folder.glob(pattern))), None)
        instead = f", and {pickled} could run code when unpickled" if pickled else ""
        raise InvalidModel(f"{source} holds no safetensors weights{instead}", param="source")
    return config


def _link_files(folder: Path, target: Path) -> None:
    """Links the files that may enter the store into `target`; publication turns links into files."""
    for pattern in FILES:
        for source in folder.glob(pattern):
            link = target / source.relative_to(folder)
            if source.is_file() and not link.is_symlink():
                link.parent.mkdir(exist_ok=True)
                link.symlink_to(source)


def _provenance(folder: Path) -> dict[str, Any]:
    """What a folder from another store says of its origin, else the licence on the model card.

    The job is not carried over: its id is another server's.
    """
    try:
        earlier = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (FileNotFoundError, ValidationError):
        card = folder / "README.md"
        found = _LICENSE.search(card.read_text(encoding="utf-8", errors="replace")) if card.is_file() else None
        return {"license": found.group(1)} if found else {}
    kept = {"description", "license", "parents", "request", "data", "metrics"}
    return {field: getattr(earlier, field) for field in kept & earlier.model_fields_set}
