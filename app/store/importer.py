"""Brings a model from outside into the store: a local folder, or a repository of the Hugging Face hub.

Safetensors are stored; PyTorch checkpoints are converted. Code that comes with a model never runs.
"""

import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from pydantic import ValidationError

from app.errors import InvalidModel
from app.store.adapters import ADAPTER_CONFIG, find_base, is_adapter, read_adapter, stage_adapter
from app.store.hub import Check
from app.store.manifest import DataSource, Manifest
from app.store.model_folder import check_shards, check_weights, list_names, main_folder, read_config, read_license
from app.store.names import check_new_name
from app.store.progress import ImportProgress
from app.store.staging import (
    CARD,
    Convert,
    add_to_card,
    copy_card,
    naming_files_within,
    stage_settings,
    stage_weights,
    write_json,
)
from app.store.store import MANIFEST, ModelEntry, ModelStore
from app.types import Classifier, Task


class LoadedModel(Protocol):
    """The part of a loaded objective that the importer uses."""

    @property
    def modality(self) -> str: ...
    @property
    def tasks(self) -> Mapping[Task, Any]: ...
    @property
    def unsupported(self) -> Mapping[Task, str]: ...
    @property
    def forward_path(self) -> str | None: ...
    @property
    def classifier(self) -> Classifier | None: ...

    def parameter_count(self) -> int: ...


@dataclass(frozen=True)
class ImportTools:
    """The parts of an import that need torch or tokenizers. Each raises InvalidModel.

    check: judges a folder without its weights: whether such a model can be loaded.
    find_architecture: tells the model_type of a folder with weights whose config.json names none.
    load: loads a model folder, which proves that the model works before anything is published.
    convert: writes checkpoint files into a folder as safetensors.
    strip_prefixes: renames the tensors of a folder's safetensors that begin with the prefix of a wrapper.
    write_fast_tokenizer: writes the fast form of a folder's tokenizer that exists in Python only, and returns the name
    of its class; returns None for others.
    write_tokenizer: writes the tokenizer for a folder's vocab.txt and a regular expression into another folder.
    check_adapter: judges the configuration of an adapter.
    merge_adapter: writes a model folder, with the adapter in another folder merged into it, into a third one.
    """

    check: Check
    find_architecture: Callable[[Path], str]
    load: Callable[[Path], LoadedModel]
    convert: Convert
    strip_prefixes: Callable[[Path], None]
    write_fast_tokenizer: Callable[[Path], str | None]
    write_tokenizer: Callable[[Path, str, Path], None]
    check_adapter: Callable[[Mapping[str, Any]], None]
    merge_adapter: Callable[[Path, Path, Path], None]


@dataclass(frozen=True)
class ImportOptions:
    """Facts that a folder may lack.

    architecture: the model_type, for a config.json that names none.
    tokenizer_regex: the expression of the model's tokenizer, or its name; for a vocab.txt that came with code.
    base: the stored model that an adapter changes, where it is not the one that the adapter names.
    """

    architecture: str | None = None
    tokenizer_regex: str | None = None
    base: str | None = None


@dataclass(frozen=True)
class _Staged:
    """A complete folder, and the manifest's facts about its origin."""

    facts: dict[str, Any]
    converted: tuple[DataSource, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImportingJob:
    """The job that imports; by default there is none.

    fence: raises an exception if the job may no longer publish.
    """

    id: str | None = None
    request: Mapping[str, Any] | None = None
    fence: Callable[[], None] | None = None
    owner: str | None = None  # of the job
    created_at: float | None = None  # Unix seconds

    def provenance(self) -> dict[str, Any]:
        return {"job_id": self.id, "owner": self.owner, "request": dict(self.request or {})} if self.id else {}


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

    source: what the user named, for messages. Configuration and tokenizer are judged before weights are read.
    Raises InvalidModel for what cannot be served, and what `fetch` and `progress` raise.
    """
    check_new_name(name)
    options, progress, job = options or ImportOptions(), progress or ImportProgress(), job or ImportingJob()
    staging = _Staging(store, source, tools, options, progress)
    folder, origin = fetch(staging.judge, progress)
    with tempfile.TemporaryDirectory(prefix="cloze-import-") as temporary, staging.naming_files(folder, temporary):
        chosen = Path(temporary)
        staged = staging.stage(folder, origin, chosen)
        progress.begin("Loading the model and comparing its answers with those of transformers")
        loaded = tools.load(chosen)
        if not loaded.tasks:
            raise InvalidModel(f"{source} loads but can perform no task", param="source")
        lacking = (f"The model cannot do {task}: {reason}." for task, reason in loaded.unsupported.items())
        add_to_card(chosen, [*staged.notes, *lacking])
        manifest = Manifest(
            modality=loaded.modality,
            tasks=tuple(loaded.tasks),
            unsupported=dict(loaded.unsupported),
            parameters=loaded.parameter_count(),
            forward_path=loaded.forward_path,
            classifier=loaded.classifier,
            converted_from=staged.converted,
            origin=origin,
            **{"description": f"Imported from {origin}"} | staged.facts | job.provenance(),
        )
        progress.begin("Copying the model into the store")
        return store.publish(chosen, manifest, name=name, fence=job.fence, since=job.created_at)


@dataclass(frozen=True)
class _Staging:
    """Puts the folder together that is published."""

    store: ModelStore
    source: str
    tools: ImportTools
    options: ImportOptions
    progress: ImportProgress

    def naming_files(self, folder: Path, temporary: str) -> AbstractContextManager[None]:
        """Makes errors name files without the folders that the user has not named."""
        unknown = [Path(temporary)] if Path(self.source).expanduser() == folder else [Path(temporary), folder]
        return naming_files_within(unknown)

    def judge(self, folder: Path) -> None:
        """Judges a folder whose weights need not be there. Raises InvalidModel and ModelNotFound."""
        if _is_bare_adapter(folder):
            self._find_base(folder)
            return
        with (
            tempfile.TemporaryDirectory(prefix="cloze-judge-") as temporary,
            self.naming_files(folder, temporary),
        ):
            self._stage_settings(folder, Path(temporary))

    def stage(self, folder: Path, origin: str, target: Path) -> _Staged:
        names = list_names(folder)
        if is_adapter(names):
            return self._stage_adapter(folder, origin, target)
        config, files = self._stage_settings(folder, target)
        check_weights(names, self.source)
        check_shards(folder, names)
        self.progress.begin("Reading the weights")
        converted = stage_weights(folder, target, self.tools.convert)
        self.tools.strip_prefixes(target)
        if not _is_named(config):
            config["model_type"] = self.tools.find_architecture(target)
            write_json(target / "config.json", config)
        replaced = self.tools.write_fast_tokenizer(target)
        notes = (f"The tokenizer ({replaced}) was converted to tokenizer.json.",) if replaced else ()
        return _Staged({"architecture": config["model_type"]} | _provenance(files), converted, notes)

    def _stage_settings(self, folder: Path, target: Path) -> tuple[dict[str, Any], dict[Path, Path]]:
        """Puts all files but weights into the folder `target`. Returns config.json, and all files of `folder`."""
        files = stage_settings(folder, target)
        config = read_config(files, self.source)
        if self.options.architecture:
            config["model_type"] = self.options.architecture
            write_json(target / "config.json", config)
        if self.options.tokenizer_regex:
            for written in ("tokenizer.json", "tokenizer_config.json"):
                (target / written).unlink(missing_ok=True)  # a link: writing would follow it
            self.tools.write_tokenizer(target, self.options.tokenizer_regex, target)
        if _is_named(config):
            self.tools.check(target)
        return config, files

    def _find_base(self, folder: Path) -> ModelEntry:
        config = read_adapter(folder, self.source)
        self.tools.check_adapter(config)
        return find_base(self.store, config, self.options.base)

    def _stage_adapter(self, folder: Path, origin: str, target: Path) -> _Staged:
        """Puts the base of an adapter, with the adapter merged into it, into the folder `target`."""
        base = self._find_base(folder)
        self.progress.begin(f"Merging the adapter into {base.id}")
        with tempfile.TemporaryDirectory(prefix="cloze-adapter-") as parts:
            weights = stage_adapter(folder, self.source, Path(parts), self.tools.convert)
            self.tools.merge_adapter(Path(parts), base.path, target)
        copy_card(folder, target)
        card = target / CARD
        facts = {
            "architecture": base.manifest.architecture,
            "description": f"Imported from {origin}, an adapter merged into {base.id}",
            "license": (read_license(card) if card.is_file() else None) or base.manifest.license,
            "parents": (base.id,),
        }
        note = f"The LoRA adapter {origin} was merged into the weights of {base.id}, in float32."
        return _Staged(facts, (weights,), (note,))


def _is_named(config: Mapping[str, Any]) -> bool:
    return isinstance(config.get("model_type"), str)


def _is_bare_adapter(folder: Path) -> bool:
    return (folder / ADAPTER_CONFIG).is_file() and not (main_folder(folder) / "config.json").is_file()


def _provenance(files: Mapping[Path, Path]) -> dict[str, Any]:
    """Returns the origin that a folder from another store states, else the licence on the model card.

    The job is not carried over: its id is another server's.
    """
    try:
        earlier = Manifest.model_validate_json(files[Path(MANIFEST)].read_bytes())
    except (KeyError, ValidationError):
        card = files.get(Path(CARD))
        found = read_license(card) if card else None
        return {"license": found} if found else {}
    kept = {"description", "license", "parents", "request", "data", "metrics"}
    return {field: getattr(earlier, field) for field in kept & earlier.model_fields_set}
