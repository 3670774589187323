"""The work of a job that imports a model."""

import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import cast

from app.datasets.unpacking import unpack_archive
from app.errors import InvalidModel
from app.jobs.kinds import ImportSpec
from app.jobs.spec import Progress, StoredFile
from app.publishing.import_tools import import_tools
from app.store.adapters import ADAPTER_CONFIG, ADAPTER_FILES
from app.store.hub import Check, HubAccess, download
from app.store.importer import Fetch, ImportingJob, ImportOptions, import_model
from app.store.model_folder import CHECKPOINTS, CONFIG, FILES, MAX_FILES, MODULE_CHECKPOINTS
from app.store.progress import ImportProgress
from app.store.store import ModelEntry
from app.training.hooks import Stopped
from app.worker.attempt import Attempt, AttemptServices
from app.worker.reports import Reports

_MODULES = "modules.json"  # of a sentence-transformers folder
_DEPTH = 4  # folders of an archive that are looked into, with the file itself
_INTERVAL = 0.5  # seconds between two questions whether to stop
_FETCHED = 90.0  # percent of the progress that stand for the download, or for unpacking


def execute(attempt: Attempt, reports: Reports, services: AttemptServices) -> ModelEntry:
    """Downloads or unpacks the model, proves it and publishes it. Raises Stopped when the job is to stop."""
    spec, settings = attempt.job.spec, services.settings
    assert isinstance(spec, ImportSpec)
    access = HubAccess(settings.allow_hub, settings.hub_organizations, settings.max_import_bytes)
    with tempfile.TemporaryDirectory(dir=attempt.folder, prefix=".tmp-") as unpacked:
        source, fetch = spec.source, cast(Fetch, partial(download, spec.source, access))
        if spec.file:
            file = services.files.get(spec.file)
            source, fetch = file.filename, partial(_unpack, services, file, Path(unpacked))
        imported = import_model(
            services.store,
            source,
            spec.name,
            fetch=fetch,
            tools=import_tools(),
            options=ImportOptions(spec.architecture, spec.tokenizer_regex, spec.base),
            progress=JobProgress(reports),
            job=ImportingJob(attempt.job.id, spec.request, reports.fence, attempt.job.owner, attempt.job.created_at),
        )
    reports.report_progress(Progress(percent=100.0))
    reports.on_event(f"Published {imported.id}: {', '.join(imported.manifest.tasks)}", {"model": imported.id})
    reports.flush()
    return imported


def _unpack(
    services: AttemptServices, file: StoredFile, target: Path, check: Check | None, progress: ImportProgress
) -> tuple[Path, str]:
    """The folder of an uploaded archive, and its name. The model may be in a folder of the archive."""
    progress.begin(f"Unpacking {file.filename}")
    found = unpack_archive(
        services.files.path(file.id),
        file.filename,
        target,
        is_wanted=_is_wanted,
        max_files=MAX_FILES,
        max_bytes=services.settings.max_import_bytes,
        on_bytes=lambda done: progress.transfer(done, max(done, file.bytes)),
    )
    folder = target / find_model_folder(found, file.filename)
    if check is not None:
        check(folder)
    return folder, file.filename


def find_model_folder(names: Iterable[PurePosixPath], filename: str) -> PurePosixPath:
    """Returns the folder of an archive that holds the model: the outermost one with a configuration.

    A sentence-transformers folder may have modules.json only, with config.json in folders of its own.
    Raises InvalidModel where there is none, or where there are several.
    """
    folders = {name.parent for name in names if name.name in (CONFIG, ADAPTER_CONFIG, _MODULES)}
    if not folders:
        raise InvalidModel(f"{filename} has no {CONFIG}", param="file")
    least = min(len(folder.parts) for folder in folders)
    first, *others = sorted(folder for folder in folders if len(folder.parts) == least)
    if others:
        raise InvalidModel(
            f"{filename} holds {len(others) + 1} models, in folders such as {first.name!r} and {others[0].name!r};"
            " import an archive of one of them",
            param="file",
        )
    return first


def _is_wanted(name: PurePosixPath) -> bool:
    """Whether an import may read a file of an archive, by its path in it."""
    patterns = (*FILES, *CHECKPOINTS, *MODULE_CHECKPOINTS, *ADAPTER_FILES)
    return len(name.parts) <= _DEPTH and any(name.match(pattern) for pattern in patterns)


class JobProgress(ImportProgress):
    """Reports an import to its job's record. Raises Stopped as soon as the job is to stop."""

    def __init__(self, reports: Reports, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._reports = reports
        self._clock = clock
        self._asked_at = -_INTERVAL
        self._lock = threading.Lock()  # files are downloaded on several threads

    def begin(self, step: str) -> None:
        with self._lock:
            self._check()
            self._reports.on_event(step)

    def transfer(self, done: int, total: int) -> None:
        with self._lock:
            now = self._clock()
            if now - self._asked_at < _INTERVAL:
                return
            self._asked_at = now
            self._check()
            self._reports.report_progress(Progress(percent=round(_FETCHED * done / max(total, 1), 2)))

    def _check(self) -> None:
        if reason := self._reports.should_stop():
            raise Stopped(reason)
