"""Turns a request to import a model into the validated specification that is queued."""

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from app.errors import AppError, InvalidValue, ModelNotFound, TooLarge
from app.jobs.kinds import ImportSpec, Webhook
from app.modalities.text.regex_tokenizer import check_regex
from app.store.hub import HubAccess
from app.store.names import MAX_NAME_LENGTH, check_new_name
from app.submission.submission import SubmissionServices
from app.submission.webhooks import resolve_webhook
from app.system.disk_space import DiskReserve

_ARCHIVE_SUFFIXES = re.compile(r"(\.tar(\.\w+)?|\.tgz|\.zip)$", re.IGNORECASE)
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class ImportSubmission:
    """A request for an import. Types and ranges of its fields are checked; source and name are not."""

    hub_id: str | None = None
    file: str | None = None  # the uploaded archive, where there is no hub_id
    name: str | None = None  # of the model in this store; None: the source's
    architecture: str | None = None
    tokenizer_regex: str | None = None
    base: str | None = None  # the stored model that an adapter changes
    metadata: Mapping[str, str] = field(default_factory=dict)
    webhook: Webhook | None = None  # None: the operator's
    max_wall_minutes: float | None = None
    sent: Mapping[str, Any] = field(default_factory=dict)  # the request as it was sent


async def build_import_spec(submission: ImportSubmission, services: SubmissionServices) -> ImportSpec:
    """Checks a submission without the model itself, which the job checks.

    Raises:
        InvalidValue: A field is wrong; `param` names it.
        Forbidden: The operator does not allow downloads, or not those of this organization.
        FileNotFound, ModelNotFound: There is no such file, or no such base.
        TooLarge: The archive is larger than an import may be.
        InsufficientStorage: The disk is full.
    """
    return await asyncio.to_thread(_build, submission, services)


def _build(submission: ImportSubmission, services: SubmissionServices) -> ImportSpec:
    settings = services.settings
    if submission.tokenizer_regex:
        check_regex(submission.tokenizer_regex)
    if submission.hub_id:
        access = HubAccess(settings.allow_hub, settings.hub_organizations, settings.max_import_bytes)
        repository, _ = access.check(submission.hub_id)
        default_names, size = [PurePath(repository).name, repository, repository.replace("/", "-")], 0
    else:
        default_names, size = _check_archive(submission.file or "", services)
    DiskReserve(settings.var_dir, settings.disk_reserve_bytes).check(2 * size)  # unpacked, and in the store
    return ImportSpec(
        hub_id=submission.hub_id,
        file=submission.file,
        architecture=submission.architecture,
        tokenizer_regex=submission.tokenizer_regex,
        base=_pin_base(submission.base, services) if submission.base else None,
        name=_check_name(submission.name) if submission.name else _choose_name(default_names),
        metadata=dict(submission.metadata),
        webhook=resolve_webhook(submission.webhook, settings),
        max_wall_minutes=submission.max_wall_minutes,
        request=dict(submission.sent),
    )


def _check_name(name: str) -> str:
    try:
        return check_new_name(name)
    except InvalidValue as error:
        raise InvalidValue(error.message, param="name") from error


def _choose_name(candidates: Iterable[str]) -> str:
    """Returns the first candidate that is allowed as a new name. That of a preset, such as bert-tiny, is not."""
    for name in candidates:
        try:
            return check_new_name(name[:MAX_NAME_LENGTH])
        except InvalidValue:
            continue
    return "imported"


def _pin_base(base: str, services: SubmissionServices) -> str:
    """Returns the id of a stored model as name@version."""
    try:
        return services.store.resolve(base).id
    except ModelNotFound as error:
        error.param = "base"
        raise


def _check_archive(file_id: str, services: SubmissionServices) -> tuple[list[str], int]:
    """Returns names for the model in an uploaded archive, the best first, and the archive's size in bytes."""
    try:
        file = services.files.get(file_id)
        services.files.path(file_id)
    except AppError as error:
        error.param = error.param or "file"
        raise
    limit = services.settings.max_import_bytes
    if file.bytes > limit:
        raise TooLarge(
            f"{file.filename} has {file.bytes:,} bytes; CLOZE_MAX_IMPORT_BYTES allows {limit:,}", param="file"
        )
    stem = _NOT_IN_NAMES.sub("-", _ARCHIVE_SUFFIXES.sub("", file.filename)).strip("-.")
    return ([stem, f"imported-{stem}"] if stem else []), file.bytes
