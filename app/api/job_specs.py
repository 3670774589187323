"""From a job's request to the complete, checked record that is queued."""

import secrets
import shutil
import time
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from app.api.deps import Services
from app.api.errors import describe
from app.api.estimates import ESTIMATORS, Material, recent_jobs
from app.api.schemas.jobs import JobRequest
from app.api.webhooks import resolve_webhook
from app.errors import AppError, InsufficientStorage, InvalidValue, ModelNotFound
from app.jobs.decisions import check_deadline
from app.jobs.files import FileStore
from app.jobs.queue import JobStore
from app.jobs.spec import Estimate, JobSpec
from app.media.checks import CHECKS
from app.recipes import METHODS, Method, TrainingHyperparameters, method_for, preset
from app.settings import Settings
from app.store.names import MAX_NAME_LENGTH, check_new_name
from app.store.store import ModelStore

DEFAULT_METHOD = "mlm"
MAX_RECORD_BYTES = 512 * 1024  # twice what 1,000 files with weights take


def build_spec(body: JobRequest, services: Services, jobs: JobStore, files: FileStore) -> JobSpec:
    """Blocking: reads the store and the beginning of every file.

    Raises InvalidValue naming the field at fault, ModelNotFound, FileNotFound, InvalidData, or
    InsufficientStorage where the disk could not hold what the job makes.
    """
    check_deadline(body.deadline, time.time())
    store = services.store
    method_name, given, field = _given_hyperparameters(body, store)
    method = METHODS[method_name]
    hyperparameters = _validate(method, _with_seed(given, body.seed, field), field)
    model, base = _resolve_model(body.model, method, store)
    hyperparameters = _pin_models(hyperparameters, field, store, method)
    _check_for(hyperparameters, field, preset(model))
    found = [_check_file(files, f, "training_file", method, hyperparameters) for f in body.files]
    held_out = None
    if body.validation_file:
        held_out = _check_file(files, body.validation_file, "validation_file", method, hyperparameters)
    estimate = None
    if estimator := ESTIMATORS.get(method.modality):
        material = Material(found, body.weights or (1.0,) * len(found), held_out)
        estimate = estimator(model, hyperparameters, material, store, recent_jobs(jobs))
        _check_disk(estimate, services.settings)
    spec = JobSpec(
        model=model,
        method=method_name,
        hyperparameters=hyperparameters.model_dump(),
        training_files=body.files,
        weights=body.weights,
        validation_file=body.validation_file,
        estimate=estimate,
        name=_result_name(body, base),
        metadata=body.metadata or {},
        resources=body.resources,
        webhook=resolve_webhook(body.webhook, services.settings),
        deadline=body.deadline,
        max_wall_minutes=body.max_wall_minutes,
        request=body.model_dump(exclude_unset=True),
    )
    _check_size(spec)
    return spec


def _check_size(spec: JobSpec) -> None:
    """Bounds the record, which is written anew at every change of the job and held by every list of jobs."""
    size = len(spec.model_dump_json())
    if size > MAX_RECORD_BYTES:
        raise InvalidValue(f"the job's record would have {size} bytes; it may have {MAX_RECORD_BYTES}")


def _given_hyperparameters(body: JobRequest, store: ModelStore) -> tuple[str, Mapping[str, Any], str]:
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


def _validate(method: Method, given: Mapping[str, Any], field: str) -> TrainingHyperparameters:
    try:
        return method.hyperparameters.model_validate(given)
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
            if entry.manifest.modality is not method.modality:
                raise InvalidValue(
                    f"`{name}` should be a model of {method.modality}; {entry.id} is one of {entry.manifest.modality}",
                    param=f"{field}.{name}",
                )
            pinned[name] = entry.id
    return hyperparameters.model_copy(update=pinned)


def _check_for(hyperparameters: TrainingHyperparameters, field: str, config: Mapping[str, Any] | None) -> None:
    try:
        hyperparameters.check_for(config)
    except InvalidValue as error:
        raise InvalidValue(error.message, param=f"{field}.{error.param}") from error


def _check_file(
    files: FileStore, file_id: str, field: str, method: Method, hyperparameters: TrainingHyperparameters
) -> Any:
    """What the modality's check found."""
    try:
        file = files.get(file_id)
        return CHECKS[method.modality](files.path(file_id), file.filename, hyperparameters)
    except AppError as error:
        error.param = error.param or field
        raise


def _check_disk(estimate: Estimate, settings: Settings) -> None:
    """The disk that the server sees; the worker's is checked when the job begins."""
    settings.var_dir.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.var_dir).free
    cached = sum(f.stat().st_size for f in settings.cache_dir.glob("*/*/*") if f.is_file())  # gives way where it must
    if (estimate.disk_bytes or 0) > free + cached:
        raise InsufficientStorage(
            f"the job needs about {(estimate.disk_bytes or 0) / 1e9:.1f} GB of disk for its data, checkpoints and"
            f" result, and {free / 1e9:.1f} GB are left"
        )


def _result_name(body: JobRequest, base: str) -> str:
    given = body.name or body.suffix
    if given is None:
        ending = f"-{secrets.token_hex(4)}"
        return base[: MAX_NAME_LENGTH - len(ending)] + ending
    try:
        return check_new_name(given)
    except InvalidValue as error:
        raise InvalidValue(error.message, param="name" if body.name else "suffix") from error


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
