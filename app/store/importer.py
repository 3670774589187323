"""Brings a model from outside into the store: a local folder, or a repository of the Hugging Face hub.

Only safetensors weights are taken, and code that comes with a model never runs.
"""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from app.errors import InvalidModel, InvalidValue, ModelNotFound, NotReady
from app.store.manifest import Manifest
from app.store.model_folder import FILES, check_weights, model_files, read_config, read_license
from app.store.names import check_new_name
from app.store.store import MANIFEST, ModelEntry, ModelStore
from app.types import Task


class LoadedModel(Protocol):
    """The part of a loaded objective that the importer uses."""

    @property
    def modality(self) -> str: ...
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
    files = model_files(folder)
    config = read_config(files, source)
    check_weights(files, folder, source)
    with tempfile.TemporaryDirectory(prefix="cloze-import-") as staging:
        chosen = Path(staging)
        _link_files(files, chosen)
        loaded = load(chosen)
        if not loaded.tasks:
            raise InvalidModel(f"{source} loads but can perform no task", param="source")
        manifest = Manifest(
            modality=loaded.modality,
            architecture=config["model_type"],
            tasks=tuple(loaded.tasks),
            parameters=loaded.parameter_count(),
            **{"description": f"Imported from {origin}"} | _provenance(files),
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


def _link_files(files: Mapping[Path, Path], target: Path) -> None:
    """Links the files into the folder `target`; publication turns links into files."""
    for name, source in files.items():
        link = target / name
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(source)


def _provenance(files: Mapping[Path, Path]) -> dict[str, Any]:
    """Returns the origin that a folder from another store states, else the licence on the model card.

    The job is not carried over: its id is another server's.
    """
    try:
        earlier = Manifest.model_validate_json(files[Path(MANIFEST)].read_bytes())
    except (KeyError, ValidationError):
        card = files.get(Path("README.md"))
        found = read_license(card) if card else None
        return {"license": found} if found else {}
    kept = {"description", "license", "parents", "request", "data", "metrics"}
    return {field: getattr(earlier, field) for field in kept & earlier.model_fields_set}
