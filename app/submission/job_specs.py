"""Turns a submission into the complete, validated specification that is queued."""

import asyncio
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import ValidationError

from app.errors import AppError, InvalidValue, ModelNotFound
from app.jobs.spec import Estimate, JobSpec
from app.jobs.transitions import check_deadline
from app.methods import METHODS, Method, TrainingHyperparameters, method_for, preset
from app.modalities.descriptor import Check
from app.modalities.estimator import CheckedFiles, stored_config
from app.modalities.registry import modality_of_method
from app.settings import Settings
from app.store.names import MAX_NAME_LENGTH, check_new_name
from app.store.store import ModelStore
from app.submission.estimates import estimate, recent_jobs
from app.submission.submission import Submission, SubmissionServices
from app.submission.webhooks import resolve_webhook
from app.system.disk_space import DiskReserve
from app.validation import describe

DEFAULT_METHOD = "mlm"
MAX_RECORD_BYTES = 512 * 1024  # twice what 1,000 files with weights take


@dataclass(frozen=True)
class _Draft:
    """A request whose fields are checked, but not yet its files."""

    model: str
    base: str  # what a default name is made of
    method_name: str
    hyperparameters: TrainingHyperparameters

    @property
    def method(self) -> Method:
        return METHODS[self.method_name]


async def build_spec(body: Submission, services: SubmissionServices) -> JobSpec:
    """Reads the store on a thread, and the beginning of every file in a child process.

    Raises InvalidValue naming the field at fault, ModelNotFound, FileNotFound, InvalidData, TooLarge, Busy where
    too many files are being checked, or InsufficientStorage where the disk could not hold what the job makes.
    """
    draft = await asyncio.to_thread(_draft, body, services.store)
    check = modality_of_method(draft.method_name).check(draft.hyperparameters)
    held_out = None
    async with services.admit_check():
        found = [await _check_file(services, f, "training_file", check) for f in body.files]
        if body.validation_file:
            held_out = await _check_file(services, body.validation_file, "validation_file", check)
    checked = CheckedFiles(found, body.weights or (1.0,) * len(found), held_out)
    return await asyncio.to_thread(_complete, draft, checked, body, services)


def _draft(body: Submission, store: ModelStore) -> _Draft:
    check_deadline(body.deadline, time.time())
    method_name, given, field = _given_hyperparameters(body, store)
    method = METHODS[method_name]
    model, base = _resolve_model(body.model, method, store)
    stored = None if preset(model) is not None else _configuration(store, model)
    hyperparameters = _validate(method, _with_seed(given, body.seed, field), field, stored or {})
    hyperparameters = _pin_models(hyperparameters, field, store, method)
    _check_for(hyperparameters, field, preset(model))
    _check_stored(hyperparameters, field, stored, store)
    return _Draft(model, base, method_name, hyperparameters)


def _complete(draft: _Draft, files: CheckedFiles[Any], body: Submission, services: SubmissionServices) -> JobSpec:
    recent = recent_jobs(services.jobs)
    found = estimate(draft.method_name, draft.model, draft.hyperparameters, files, services.store, recent)
    _check_disk(found, services.settings)
    spec = JobSpec(
        model=draft.model,
        method=draft.method_name,
        hyperparameters=draft.hyperparameters.model_dump(),
        training_files=body.files,
        weights=body.weights,
        validation_file=body.validation_file,
        estimate=found,
        name=_result_name(body, draft.base),
        metadata=dict(body.metadata),
        resources=body.resources,
        webhook=resolve_webhook(body.webhook, services.settings),
        deadline=body.deadline,
        max_wall_minutes=body.max_wall_minutes,
        request=dict(body.sent),
    )
    _check_size(spec)
    return spec


def _check_size(spec: JobSpec) -> None:
    """Bounds the record, which is written anew at every change of the job and held by every list of jobs."""
    size = len(spec.model_dump_json())
    if size > MAX_RECORD_BYTES:
        raise InvalidValue(f"the job's record would have {size} bytes; it may have {MAX_RECORD_BYTES}")


def _given_hyperparameters(body: Submission, store: ModelStore) -> tuple[str, Mapping[str, Any], str]:
    """The method's name, its hyperparameters as sent, and the field that they were sent in."""
    method = body.method or {"type": _default_method(body.model, store)}
    name = method.get("type")
    if not isinstance(name, str) or name not in METHODS:
        raise InvalidValue(f"`method.type` should be one of {_listed(METHODS)}, not {name!r}", param="method.type")
    settings = _object(method.get(name), f"method.{name}")
    field = f"method.{name}.hyperparameters"
    _refuse_unknown(method, "method", {"type", name}, field)
    _refuse_unknown(settings, f"method.{name}", {"hyperparameters"}, field)
    nested = _object(settings.get("hyperparameters"), field)
    if not body.hyperparameters or nested == body.hyperparameters:
        return name, nested, field
    if nested:
        raise InvalidValue(f"`{field}` and `hyperparameters` are both given and differ", param="hyperparameters")
    return name, body.hyperparameters, "hyperparameters"


def _default_method(model: str, store: ModelStore) -> str:
    """The preset's, or that which continues the stored model."""
    if found := method_for(model):
        return found
    try:
        manifest = store.resolve(model).manifest
    except ModelNotFound:
        return DEFAULT_METHOD  # told where the model is resolved
    return method_for(model, manifest.modality, manifest.architecture) or DEFAULT_METHOD


def _refuse_unknown(given: Mapping[str, Any], place: str, known: set[str], field: str) -> None:
    if unknown := sorted(given.keys() - known):
        param = f"{place}.{unknown[0]}"
        raise InvalidValue(
            f"`{param}` is not a field that is known here; hyperparameters go into `{field}`", param=param
        )


def _object(value: object, field: str) -> Mapping[str, Any]:
    if value is not None and not isinstance(value, dict):
        raise InvalidValue(f"`{field}` should be an object", param=field)
    return value or {}


def _with_seed(given: Mapping[str, Any], seed: int | None, field: str) -> Mapping[str, Any]:
    if seed is None:
        return given
    if given.get("seed", seed) != seed:
        raise InvalidValue(f"`seed` and `{field}.seed` are both given and differ", param="seed")
    return {**given, "seed": seed}


def _validate(
    method: Method, given: Mapping[str, Any], field: str, stored: Mapping[str, Any]
) -> TrainingHyperparameters:
    """stored: the configuration of the stored model, whose defaults may be others; empty for a preset."""
    defaults = method.hyperparameters.defaults_for(stored)
    unset = {name: value for name, value in defaults.items() if given.get(name) in (None, "auto")}
    try:
        return method.hyperparameters.model_validate({**given, **unset})
    except ValidationError as error:
        raise describe(dict(error.errors()[0]), field) from error


def _resolve_model(model: str, method: Method, store: ModelStore) -> tuple[str, str]:
    """The preset or pinned id to train from, and the name that a default name is made of."""
    if model in method.presets:
        return model, model
    try:
        entry = store.resolve(model)
    except ModelNotFound as error:
        message = f"{error.message}; as a preset there are {_listed(method.presets)}"
        raise ModelNotFound(message, param="model") from error
    if entry.manifest.modality != method.modality:
        raise InvalidValue(
            f"{entry.id} is of {entry.manifest.modality}, but the method trains {method.modality}", param="model"
        )
    if method.architectures and entry.manifest.architecture not in method.architectures:
        raise InvalidValue(
            f"{entry.id} is a {entry.manifest.architecture}, but the method trains {_listed(method.architectures)}",
            param="model",
        )
    return entry.id, entry.name


def _pin_models(
    hyperparameters: TrainingHyperparameters, field: str, store: ModelStore, method: Method
) -> TrainingHyperparameters:
    """The models that hyperparameters name, as the versions that are latest now."""
    pinned = {}
    for name in hyperparameters.MODEL_FIELDS:
        if (model := getattr(hyperparameters, name)) is not None:
            try:
                entry = store.resolve(model)
            except ModelNotFound as error:
                raise ModelNotFound(error.message, param=f"{field}.{name}") from error
            if entry.manifest.modality != method.modality:
                raise InvalidValue(
                    f"`{name}` should be a model of {method.modality}; {entry.id} is one of {entry.manifest.modality}",
                    param=f"{field}.{name}",
                )
            pinned[name] = entry.id
    return hyperparameters.model_copy(update=pinned)


def _check_for(hyperparameters: TrainingHyperparameters, field: str, config: Mapping[str, Any] | None) -> None:
    with _fields_of(field):
        hyperparameters.check_for(config)


def _check_stored(
    hyperparameters: TrainingHyperparameters, field: str, stored: Mapping[str, Any] | None, store: ModelStore
) -> None:
    models = {name: getattr(hyperparameters, name) for name in hyperparameters.MODEL_FIELDS}
    named = {name: _configuration(store, model) for name, model in models.items() if model is not None}
    with _fields_of(field):
        hyperparameters.check_stored(stored, named)


@contextmanager
def _fields_of(field: str) -> Iterator[None]:
    """Errors within it name the hyperparameter as a field of the request."""
    try:
        yield
    except InvalidValue as error:
        raise InvalidValue(error.message, param=f"{field}.{error.param}") from error


def _configuration(store: ModelStore, model: str) -> dict[str, Any]:
    """A stored model's, with the longest input of its tokenizer."""
    folder = store.resolve(model).path
    longest = stored_config(folder, "tokenizer_config.json").get("model_max_length")
    return {**stored_config(folder), "model_max_length": longest}


async def _check_file(services: SubmissionServices, file_id: str, field: str, check: Check) -> Any:
    """Checks one file in a child process and returns what the check found."""
    try:
        file = await asyncio.to_thread(services.files.get, file_id)
        return await services.checkers.call(partial(check, services.files.path(file_id), file.filename))
    except AppError as error:
        error.param = error.param or field
        raise


def _check_disk(estimate: Estimate, settings: Settings) -> None:
    """The disk that the server sees; the worker's is checked when the job begins."""
    cached = sum(f.stat().st_size for f in settings.cache_dir.glob("*/*/*") if f.is_file())  # gives way where it must
    DiskReserve(settings.var_dir, settings.disk_reserve_bytes).check(estimate.disk_bytes or 0, reclaimable=cached)


def _result_name(body: Submission, base: str) -> str:
    if body.name is None:
        ending = f"-{secrets.token_hex(4)}"
        return base[: MAX_NAME_LENGTH - len(ending)] + ending
    try:
        return check_new_name(body.name)
    except InvalidValue as error:
        raise InvalidValue(error.message, param=body.name_field) from error


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
