"""Brings a model from outside into the store: a local folder, or a repository of the Hugging Face hub.

Safetensors are stored; PyTorch checkpoints are converted. Code that comes with a model never runs.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from pydantic import ValidationError
from pydantic_core import from_json

from app.errors import InvalidModel
from app.store.hub import Check
from app.store.manifest import DataSource, Manifest
from app.store.model_folder import (
    TRANSFORMER,
    checkpoint_files,
    has_safetensors,
    main_folder,
    model_files,
    module_checkpoints,
    read_config,
    read_license,
    refuse_weights,
)
from app.store.names import check_new_name
from app.store.progress import ImportProgress
from app.store.store import MANIFEST, ModelEntry, ModelStore
from app.types import Task


class LoadedModel(Protocol):
    """The part of a loaded objective that the importer uses."""

    @property
    def modality(self) -> str: ...
    @property
    def tasks(self) -> Mapping[Task, Any]: ...
    @property
    def forward_path(self) -> str | None: ...

    def parameter_count(self) -> int: ...


@dataclass(frozen=True)
class ImportTools:
    """The parts of an import that need torch or tokenizers.

    check: raises InvalidModel for a folder whose config.json is of no model that can be loaded.
    load: loads a model folder, which proves that the model works before anything is published.
    convert: writes checkpoint files into a folder as safetensors.
    write_tokenizer: writes the tokenizer for a folder's vocab.txt and a regular expression into another folder.
    """

    check: Check
    load: Callable[[Path], LoadedModel]
    convert: Callable[[Sequence[Path], Path], None]
    write_tokenizer: Callable[[Path, str, Path], None]


@dataclass(frozen=True)
class ImportOptions:
    """Facts that a folder may lack.

    architecture: the model_type, for a config.json that names none.
    tokenizer_regex: the expression of the model's tokenizer, or its name; for a vocab.txt that came with code.
    """

    architecture: str | None = None
    tokenizer_regex: str | None = None


@dataclass(frozen=True)
class ImportingJob:
    """The job that imports; by default there is none.

    fence: raises an exception if the job may no longer publish.
    """

    id: str | None = None
    request: Mapping[str, Any] | None = None
    fence: Callable[[], None] | None = None

    def provenance(self) -> dict[str, Any]:
        return {"job_id": self.id, "request": dict(self.request or {})} if self.id else {}


# Finds the folder to import and describes its origin. The check, if there is one, judges the configuration before
# weights are downloaded or unpacked.
Fetch: TypeAlias = Callable[[Check | None, ImportProgress], tuple[Path, str]]


def import_model(
    store: ModelStore,
    source: str,
    name: str,
    *,
    fetch: Fetch,
    tools: ImportTools,
    options: ImportOptions | None = None,
    progress: ImportProgress | None = None,
    job: ImportingJob | None = None,
) -> ModelEntry:
    """Publishes the folder that `fetch` finds as a version of `name`.

    source: what the user named, for messages.
    Raises InvalidModel for what cannot be served, and what `fetch` and `progress` raise.
    """
    check_new_name(name)
    options, progress, job = options or ImportOptions(), progress or ImportProgress(), job or ImportingJob()
    # A configuration that names no architecture cannot be judged without the option.
    folder, origin = fetch(None if options.architecture else tools.check, progress)
    files = model_files(folder)
    config = read_config(files, source, options.architecture)
    checkpoint = {} if has_safetensors(files) else checkpoint_files(folder)
    if not checkpoint and not has_safetensors(files):
        refuse_weights(folder, source)
    with tempfile.TemporaryDirectory(prefix="cloze-import-") as staging:
        chosen = Path(staging)
        # Another store's manifest would vouch for a forward path that nothing here has proved.
        _link_files({name: file for name, file in files.items() if name != Path(MANIFEST)}, chosen)
        if options.architecture:
            _write_json(chosen / "config.json", config)
        modules = module_checkpoints(folder, files)
        if checkpoint or modules:
            progress.begin("Converting PyTorch checkpoints to safetensors")
        _convert_checkpoints(checkpoint, modules, chosen, tools)
        converted = checkpoint | {name.as_posix(): file for name, file in modules.items()}
        if main_folder(folder) != folder:
            _move_transformer(chosen)
        if options.tokenizer_regex:
            for written in ("tokenizer.json", "tokenizer_config.json"):
                (chosen / written).unlink(missing_ok=True)  # a link: writing would follow it
            tools.write_tokenizer(chosen, options.tokenizer_regex, chosen)
        progress.begin("Loading the model and comparing its answers with those of transformers")
        loaded = tools.load(chosen)
        if not loaded.tasks:
            raise InvalidModel(f"{source} loads but can perform no task", param="source")
        manifest = Manifest(
            modality=loaded.modality,
            architecture=config["model_type"],
            tasks=tuple(loaded.tasks),
            parameters=loaded.parameter_count(),
            forward_path=loaded.forward_path,
            converted_from=tuple(_described(name, file) for name, file in converted.items()),
            **{"description": f"Imported from {origin}"} | _provenance(files) | job.provenance(),
        )
        progress.begin("Copying the model into the store")
        return store.publish(chosen, manifest, name=name, fence=job.fence)


def _convert_checkpoints(
    checkpoint: Mapping[str, Path], modules: Mapping[Path, Path], target: Path, tools: ImportTools
) -> None:
    """Writes the model's checkpoint and those of sentence-transformers modules into `target` as safetensors."""
    if checkpoint:
        tools.convert(list(checkpoint.values()), target)
    for name, file in modules.items():
        (target / name.parent).mkdir(exist_ok=True)
        tools.convert([file], target / name.parent)


def _described(name: str, file: Path) -> DataSource:
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return DataSource(filename=name, bytes=file.stat().st_size, sha256=digest)


def _move_transformer(folder: Path) -> None:
    """Makes modules.json name the top of the folder as the transformer's, where its files are now."""
    try:
        modules = from_json((folder / "modules.json").read_bytes())
        moved = [each | {"path": ""} if each["path"] == TRANSFORMER else each for each in modules]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InvalidModel(
            f"config.json is in {TRANSFORMER}, and modules.json is no list of modules", param="source"
        ) from error
    _write_json(folder / "modules.json", moved)


def _write_json(path: Path, content: Any) -> None:
    path.unlink(missing_ok=True)  # a link: writing would follow it
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


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
