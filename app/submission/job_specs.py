"""Turns a submission into the complete, validated specification that is queued."""

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from app.datasets.previews import Preview, Previewed
from app.datasets.remote.files import find_remote, is_remote
from app.datasets.remote.hub_lists import MAX_MATCHES, expand_hub_address, has_wildcard
from app.datasets.remote.reading import RemotePath
from app.errors import AppError, InvalidValue
from app.jobs.kinds import Estimate, JobSpec, PretrainingSpec
from app.jobs.transitions import check_deadline
from app.methods import METHODS
from app.methods.early_stopping import PROBE
from app.modalities.descriptor import Check
from app.modalities.estimator import CheckedFiles
from app.modalities.registry import modality_of_method
from app.settings import Settings
from app.store.names import MAX_NAME_LENGTH, check_new_name
from app.submission.estimates import estimate, recent_jobs
from app.submission.evaluations import build_interval_evaluations, check_evaluations
from app.submission.placement import check_placement
from app.submission.submission import Submission, SubmissionServices
from app.submission.training_choice import TrainingChoice, choose_training, prefix_fields
from app.submission.webhooks import resolve_webhook
from app.system.disk_space import DiskReserve
from app.system.remote_access import RemoteAccess
from app.types import RemoteFile

MAX_RECORD_BYTES = 512 * 1024  # twice what 1,000 files with weights take


@dataclass(frozen=True)
class FilePreview:
    """The preview of a file of a submission. file: its id or address."""

    file: str
    filename: str
    field: Literal["training_file", "validation_file"]
    preview: Preview


@dataclass(frozen=True)
class CheckedSubmission:
    """A submission that was checked as a whole. previews: of the files; those of training come first."""

    spec: PretrainingSpec
    previews: Sequence[FilePreview]


async def build_spec(submission: Submission, services: SubmissionServices) -> PretrainingSpec:
    """Returns the specification of a submission. See `check_submission`."""
    return (await check_submission(submission, services)).spec


async def check_submission(submission: Submission, services: SubmissionServices) -> CheckedSubmission:
    """Checks a submission as a whole: first its fields, then its files, then its cost.

    The store is read on a thread, and the beginning of every file in a child process. Remote files are pinned.

    Raises:
        InvalidValue: A field is wrong; `param` names it. InvalidData if it is the content of a file.
        ModelNotFound, FileNotFound: The submission names something that does not exist.
        Forbidden: The operator does not allow a remote file. NotReady: Its server cannot be reached.
        TooLarge: A file takes too much time or memory to check.
        Busy: Too many files are being checked.
        InsufficientStorage: The disk cannot hold what the job would make.
    """
    check_deadline(submission.deadline, time.time())
    submission = await asyncio.to_thread(_expand, submission, services.settings.remote_access)
    choice = await asyncio.to_thread(choose_training, submission, services.store)
    modality = modality_of_method(choice.method_name)
    method = METHODS[choice.method_name]
    await asyncio.to_thread(check_evaluations, submission.evaluations, method, services)
    _check_early_stopping(submission, choice)
    check_placement(submission, choice.hyperparameters, services.settings.trainer)
    check = modality.check(choice.hyperparameters)
    async with services.admit_check():
        training = [await _check_file(services, file, "training_file", check) for file in submission.files]
        held_out = None
        if submission.validation_file:
            held_out = await _check_file(services, submission.validation_file, "validation_file", check)
        repeated = await build_interval_evaluations(submission, method, services)
    weights = submission.weights or (1.0,) * len(training)
    files = CheckedFiles([each.found for each in training], weights, held_out.found if held_out else None)
    checked = [*training, *([held_out] if held_out else [])]
    remote = {each.remote.address: each.remote for each in checked if each.remote}
    spec = await asyncio.to_thread(_complete, submission, choice, files, remote, services)
    spec = spec.model_copy(update={"interval_evaluations": repeated})
    check_record_size(spec)
    return CheckedSubmission(spec, [each.preview for each in checked if each.preview])


def _expand(submission: Submission, access: RemoteAccess) -> Submission:
    """Replaces addresses with a wildcard by those of the files that match, with the same weight."""
    if not any(map(has_wildcard, submission.files)):
        return submission
    weights = submission.weights or (1.0,) * len(submission.files)
    files: dict[str, float] = {}
    for name, weight in zip(submission.files, weights, strict=True):
        try:
            found = expand_hub_address(name, access) if has_wildcard(name) else [name]
        except AppError as error:
            error.param = "training_file"
            raise
        if len(files := files | dict.fromkeys(found, weight)) > MAX_MATCHES:
            raise InvalidValue(f"a job reads at most {MAX_MATCHES:,} files", param="training_file")
    return replace(submission, files=tuple(files), weights=submission.weights and tuple(files.values()))


def _complete(
    submission: Submission,
    choice: TrainingChoice,
    files: CheckedFiles[Any],
    remote: Mapping[str, RemoteFile],
    services: SubmissionServices,
) -> PretrainingSpec:
    recent = recent_jobs(services.jobs)
    with prefix_fields(choice.field):
        cost = estimate(choice.method_name, choice.model, choice.hyperparameters, files, services.store, recent)
    if copied := sum(file.bytes for file in remote.values()):
        disk = {name: (getattr(cost, name) or 0) + copied for name in ("disk_bytes", "shared_disk_bytes")}
        cost = cost.model_copy(update=disk)
    check_disk(cost, services.settings)
    return PretrainingSpec(
        model=choice.model,
        method=choice.method_name,
        hyperparameters=choice.hyperparameters.model_dump(),
        training_files=submission.files,
        weights=submission.weights,
        validation_file=submission.validation_file,
        evaluations=submission.evaluations,
        remote_files=dict(remote),
        estimate=cost,
        name=_choose_name(submission, choice.base_name),
        metadata=dict(submission.metadata),
        resources=submission.resources,
        webhook=resolve_webhook(submission.webhook, services.settings),
        deadline=submission.deadline,
        max_wall_minutes=submission.max_wall_minutes,
        request=dict(submission.sent),
    )


def _check_early_stopping(submission: Submission, choice: TrainingChoice) -> None:
    if choice.hyperparameters.early_stopping_metric == PROBE and not submission.interval_evaluations:
        raise InvalidValue(
            'eval_probe needs an evaluation of `evaluations` with `"when": "interval"`',
            param=f"{choice.field}.early_stopping_metric",
        )


def check_record_size(spec: JobSpec) -> None:
    """Bounds the record, which is written anew at every change of the job and held by every list of jobs."""
    size = len(spec.model_dump_json())
    if size > MAX_RECORD_BYTES:
        raise InvalidValue(f"the job's record would have {size} bytes; it may have {MAX_RECORD_BYTES}")


class _CheckedFile(NamedTuple):
    found: Any  # by the modality's check
    preview: FilePreview | None
    remote: RemoteFile | None


async def _check_file(
    services: SubmissionServices, file_id: str, field: Literal["training_file", "validation_file"], check: Check
) -> _CheckedFile:
    """Checks one file in a child process and returns what the check found. file_id: its id or address."""
    remote: RemoteFile | None = None
    try:
        if is_remote(file_id):
            access = services.settings.remote_access
            remote = await asyncio.to_thread(find_remote, file_id, access)
            path, name = cast(Path, RemotePath(remote, access)), remote.filename
        else:
            name = (await asyncio.to_thread(services.files.get, file_id)).filename
            path = await asyncio.to_thread(services.files.path, file_id)  # a bucket's is downloaded
        found = await services.checkers.call(partial(check, path, name))
    except AppError as error:
        error.param = error.param or field
        raise
    if isinstance(found, Previewed) and found.preview is not None:
        return _CheckedFile(found, FilePreview(file_id, name, field, found.preview), remote)
    return _CheckedFile(found, None, remote)


def check_disk(estimate: Estimate, settings: Settings) -> None:
    """Checks the disk that the server sees. The worker's is checked when the job begins."""
    cached = sum(f.stat().st_size for f in settings.cache_dir.glob("*/*/*") if f.is_file())  # is given up if needed
    DiskReserve(settings.var_dir, settings.disk_reserve_bytes).check(estimate.disk_bytes or 0, reclaimable=cached)


def _choose_name(submission: Submission, base_name: str) -> str:
    if submission.name is None:
        ending = f"-{secrets.token_hex(4)}"
        return base_name[: MAX_NAME_LENGTH - len(ending)] + ending
    try:
        return check_new_name(submission.name)
    except InvalidValue as error:
        raise InvalidValue(error.message, param=submission.name_field) from error
