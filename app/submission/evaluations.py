"""Turns a request to evaluate models into the validated specification that is queued."""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePath
from typing import Any, Literal

from app.datasets.label_checks import check_labels
from app.datasets.labelled import LabelledColumns, LabelledFile, Part
from app.datasets.labelled_files import read_labelled
from app.datasets.text_rows import find_text_method, name_columns, read_text_rows
from app.errors import AppError, InvalidValue, ModelNotFound, TaskNotSupported
from app.jobs.follow_ups import evaluation_spec
from app.jobs.kinds import EvaluationSpec, Webhook
from app.methods import Method
from app.store.names import MAX_NAME_LENGTH, check_new_name
from app.store.store import ModelStore
from app.submission.submission import Submission, SubmissionServices
from app.submission.webhooks import resolve_webhook
from app.system.disk_space import DiskReserve
from app.types import EvaluationMethod, LabelType, Task, TextMethod

INTERVAL_METHODS: tuple[EvaluationMethod, ...] = ("linear_probe", "knn")  # quick enough to repeat in a run
_LOOK = 20_000  # rows of each file that are checked before the job is queued


@dataclass(frozen=True)
class EvaluationSubmission:
    """A request for an evaluation. Types and ranges of its fields are checked; models and files are not."""

    models: tuple[str, ...]
    file: str
    labels_per_class: tuple[int | Literal["all"], ...]
    methods: tuple[EvaluationMethod, ...]
    seeds: int
    validation_file: str | None = None
    sequence_file: str | None = None  # whose records the text column names
    columns: LabelledColumns = field(default_factory=LabelledColumns)
    pair_column: str | None = None
    group_column: str | None = None
    label_type: LabelType = "auto"
    publish: bool | str = False  # whether the best model is published, or under which name
    name: str | None = None  # None: the file's
    metadata: Mapping[str, str] = field(default_factory=dict)
    webhook: Webhook | None = None  # None: the operator's
    max_wall_minutes: float | None = None
    sent: Mapping[str, Any] = field(default_factory=dict)  # the request as it was sent


async def build_evaluation_spec(submission: EvaluationSubmission, services: SubmissionServices) -> EvaluationSpec:
    """Checks a submission, with the beginning of its files in a child process.

    Raises:
        InvalidValue: A field is wrong; `param` names it. InvalidData if it is the content of a file.
        ModelNotFound, FileNotFound: The submission names something that does not exist.
        TaskNotSupported: A model gives no vectors.
        TooLarge: A file takes too much time or memory to check.
        Busy: Too many files are being checked.
        InsufficientStorage: The disk is full.
    """
    method = find_text_method(submission.methods)
    models, modality = await asyncio.to_thread(_pin_models, submission.models, services, method)
    files = await asyncio.to_thread(_find_files, submission, services)
    name = submission.name or PurePath(files["file"].filename).stem or "evaluation"
    publish = await asyncio.to_thread(choose_published_name, submission.publish, name, services.store)
    check = _plan_check(submission, files, modality, method)
    async with services.admit_check():
        try:
            await services.checkers.call(check)
        except AppError as error:
            error.param = error.param or "file"
            raise
    settings = services.settings
    await asyncio.to_thread(DiskReserve(settings.var_dir, settings.disk_reserve_bytes).check)
    return EvaluationSpec(
        models=models,
        file=submission.file,
        validation_file=submission.validation_file,
        sequence_file=submission.sequence_file,
        text_column=submission.columns.text,
        label_column=submission.columns.label,
        split_column=submission.columns.split,
        pair_column=submission.pair_column,
        group_column=submission.group_column,
        label_type=submission.label_type,
        label_separator=submission.columns.separator,
        labels_per_class=submission.labels_per_class,
        seeds=submission.seeds,
        methods=submission.methods,
        publish=publish,
        name=name,
        metadata=dict(submission.metadata),
        webhook=resolve_webhook(submission.webhook, settings),
        max_wall_minutes=submission.max_wall_minutes,
        request=dict(submission.sent),
    )


def choose_published_name(publish: bool | str, evaluation: str, store: ModelStore) -> str | None:
    """Returns the name of the classifier: the one asked for, or else that of the evaluation in letters of names.

    Raises InvalidValue for a name that no model can have, or that belongs to a model that does not classify.
    """
    if not publish:
        return None
    name = publish if isinstance(publish, str) else _to_name(evaluation)
    try:
        versions = store.versions(check_new_name(name))
    except InvalidValue as error:
        error.param = "publish"
        raise
    if versions and versions[0].manifest.classifier is None:
        raise InvalidValue(
            f"the model {name!r} exists and does not classify; set `publish` to another name", param="publish"
        )
    return name


def _to_name(text: str) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:MAX_NAME_LENGTH]
    return f"classifier-{name}".rstrip("-") if not name or name.isdigit() else name


def _plan_check(
    submission: EvaluationSubmission, files: Mapping[str, LabelledFile], modality: str, method: TextMethod | None
) -> Callable[[], None]:
    """Returns the check of the beginning of the files, for a child process."""
    columns = submission.columns
    if method is None:
        tables = [file for name, file in files.items() if name != "sequence_file"]
        return partial(check_files, tables, columns, submission.label_type, modality, files.get("sequence_file"))
    named = name_columns(
        method,
        text=columns.text,
        pair=submission.pair_column,
        label=columns.label,
        group=submission.group_column,
    )
    return partial(check_text_rows, files["file"], method, named)


def check_evaluations(evaluations: Sequence[str], method: Method, services: SubmissionServices) -> None:
    """Checks the earlier evaluations that a job repeats on its result.

    Raises JobNotFound, and InvalidValue for jobs of other kinds, and for evaluations that the result cannot do.
    """
    for place, evaluation_id in enumerate(evaluations):
        try:
            spec = evaluation_spec(services.jobs.get(evaluation_id))
            if not method.predicts and _needed_task(find_text_method(spec.methods)) is not Task.EMBED:
                raise InvalidValue(f"the evaluation '{evaluation_id}' masks tokens, which the result cannot predict")
            evaluated = services.store.resolve(spec.models[0])
        except ModelNotFound:  # deleted since; its data tell its modality when they are read
            continue
        except AppError as error:
            error.param = f"evaluations.{place}"
            raise
        if (other := evaluated.manifest.modality) != method.modality:
            raise InvalidValue(
                f"the evaluation '{evaluation_id}' is of {other}, and the job trains a model of {method.modality}",
                param=f"evaluations.{place}",
            )


async def build_interval_evaluations(
    submission: Submission, method: Method, services: SubmissionServices
) -> dict[str, EvaluationSpec]:
    """Checks the earlier evaluations that a job repeats while it trains, with the beginning of their files.

    Returns them in short: with one method and one number of labels, by their ids. Raises JobNotFound, FileNotFound,
    InvalidValue and InvalidData. The caller admits the check of files.
    """
    found = {}
    for asked in submission.interval_evaluations:
        try:
            spec = evaluation_spec(await asyncio.to_thread(services.jobs.get, asked.id))
            chosen = next((each for each in spec.methods if each in INTERVAL_METHODS), None)
            if chosen is None:
                raise InvalidValue(f"the evaluation '{asked.id}' has no method of {' and '.join(INTERVAL_METHODS)}")
            files = await asyncio.to_thread(_find_files, spec, services)
            sequences = files.pop("sequence_file", None)
            columns = LabelledColumns(spec.text_column, spec.label_column, spec.split_column, spec.label_separator)
            tables = list(files.values())
            await services.checkers.call(
                partial(check_files, tables, columns, spec.label_type, method.modality, sequences)
            )
        except AppError as error:
            error.param = asked.field
            raise
        short = {"methods": (chosen,), "labels_per_class": (asked.labels_per_class,), "seeds": 1, "publish": None}
        found[asked.id] = spec.model_copy(update={**short, "webhook": None, "metadata": {}, "request": {}})
    return found


def check_files(
    files: Sequence[LabelledFile],
    columns: LabelledColumns,
    label_type: LabelType,
    modality: str,
    sequences: LabelledFile | None,
) -> None:
    """Checks the beginning of labelled files. Runs in a child process. Raises InvalidData and TooLarge."""
    found = read_labelled(files, columns, modality, sequences=sequences, limit=_LOOK)
    if not found.is_partial:  # in the beginning of a file, there may be one class only
        check_labels(found, label_type)


def check_text_rows(file: LabelledFile, method: TextMethod, columns: Mapping[str, str]) -> None:
    """Checks the beginning of a file of texts. Runs in a child process. Raises InvalidData and TooLarge."""
    read_text_rows(file, method, columns, limit=_LOOK)


def _needed_task(method: TextMethod | None) -> Task:
    """Returns the task of a model that an evaluation uses. method: None for one with training labels."""
    return Task.EMBED if method in (None, "sts") else Task.SCORE


def _pin_models(
    models: Sequence[str], services: SubmissionServices, method: TextMethod | None
) -> tuple[tuple[str, ...], str]:
    """Returns the models as name@version, and their modality.

    Raises ModelNotFound, InvalidValue and TaskNotSupported.
    """
    task = _needed_task(method)
    pinned, modalities = [], set[str]()
    for place, model in enumerate(models):
        try:
            entry = services.store.resolve(model)
        except ModelNotFound as error:
            error.param = f"models.{place}"
            raise
        if task not in entry.manifest.tasks:
            reason = "gives no vectors" if task is Task.EMBED else f"cannot do {task}"
            raise TaskNotSupported(f"{entry.id} {reason}", param=f"models.{place}")
        pinned.append(entry.id)
        modalities.add(entry.manifest.modality)
    if len(modalities) > 1:
        raise InvalidValue(f"`models` are of different modalities: {', '.join(sorted(modalities))}", param="models")
    if len(set(pinned)) < len(pinned):
        raise InvalidValue("`models` names a model twice", param="models")
    modality = modalities.pop()
    if method and modality != "text":
        raise InvalidValue(f"the method {method} is for models of text, not of {modality}", param="methods")
    return tuple(pinned), modality


def _find_files(
    submission: EvaluationSubmission | EvaluationSpec, services: SubmissionServices
) -> dict[str, LabelledFile]:
    """Returns the files by field. A validation file makes the other one the training part."""
    ids = {"file": submission.file, "validation_file": submission.validation_file}
    ids["sequence_file"] = submission.sequence_file
    part = Part.TRAIN if submission.validation_file else Part.EITHER
    parts = {"file": part, "validation_file": Part.TEST, "sequence_file": Part.EITHER}
    found = {}
    for name, file_id in ids.items():
        if file_id is None:
            continue
        try:
            stored = services.files.get(file_id)
            found[name] = LabelledFile(services.files.path(file_id), stored.filename, parts[name], name)
        except AppError as error:
            error.param = error.param or name
            raise
    return found
