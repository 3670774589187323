"""Chooses the method, the model and the hyperparameters of a submission, and validates them together."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import ValidationError

from app.errors import InvalidData, InvalidValue, ModelNotFound
from app.methods import METHODS, Method, TrainingHyperparameters, method_for, preset
from app.methods.base import OPENAI_NAMES
from app.modalities.estimator import stored_config
from app.store.store import ModelStore
from app.submission.submission import Submission
from app.validation import describe

DEFAULT_METHOD = "mlm"


@dataclass(frozen=True)
class TrainingChoice:
    """The model that a submission trains, and how. Its files are not checked yet."""

    method_name: str
    model: str  # a preset, or a stored model pinned as name@version
    base_name: str  # the model's name, which a default name of the result begins with
    hyperparameters: TrainingHyperparameters
    field: str  # of the request, that the hyperparameters were sent in


class SentHyperparameters(NamedTuple):
    """The method of a submission and its hyperparameters, before they are validated."""

    method_name: str
    values: Mapping[str, Any]  # as sent
    field: str  # of the request, that they were sent in


def choose_training(submission: Submission, store: ModelStore) -> TrainingChoice:
    """Reads the store. Raises InvalidValue, which names the field at fault, or ModelNotFound."""
    name, values, field = read_method(submission, store)
    method = METHODS[name]
    model, base_name = _resolve_model(submission.model, method, store)
    stored = None if preset(model) is not None else _read_configuration(store, model)
    hyperparameters = _validate(method, _add_seed(values, submission.seed, field), field, stored or {})
    hyperparameters = _pin_models(hyperparameters, field, store, method)
    with prefix_fields(field):
        hyperparameters.check_for(preset(model))
        hyperparameters.check_stored(stored, _read_named_models(hyperparameters, store))
    return TrainingChoice(name, model, base_name, hyperparameters, field)


def read_method(submission: Submission, store: ModelStore) -> SentHyperparameters:
    """Reads the method and its hyperparameters, which may be sent in two places."""
    method = submission.method or {"type": _choose_method(submission.model, store)}
    name = method.get("type")
    if not isinstance(name, str) or name not in METHODS:
        raise InvalidValue(f"`method.type` should be one of {_join(METHODS)}, not {name!r}", param="method.type")
    options = _expect_object(method.get(name), f"method.{name}")
    field = f"method.{name}.hyperparameters"
    _refuse_unknown(method, "method", {"type", name}, field)
    _refuse_unknown(options, f"method.{name}", {"hyperparameters"}, field)
    nested = _expect_object(options.get("hyperparameters"), field)
    if not submission.hyperparameters or nested == submission.hyperparameters:
        return SentHyperparameters(name, nested, field)
    if nested:
        raise InvalidValue(f"`{field}` and `hyperparameters` are both given and differ", param="hyperparameters")
    return SentHyperparameters(name, submission.hyperparameters, "hyperparameters")


def _choose_method(model: str, store: ModelStore) -> str:
    """The method of the preset, or the one that continues the stored model."""
    if found := method_for(model):
        return found
    try:
        manifest = store.resolve(model).manifest
    except ModelNotFound:
        return DEFAULT_METHOD  # `_resolve_model` refuses the model
    return method_for(model, manifest.modality, manifest.architecture) or DEFAULT_METHOD


def _refuse_unknown(given: Mapping[str, Any], place: str, known: set[str], field: str) -> None:
    if unknown := sorted(given.keys() - known):
        param = f"{place}.{unknown[0]}"
        raise InvalidValue(f"`{param}` is not a known field; hyperparameters go into `{field}`", param=param)


def _expect_object(value: object, field: str) -> Mapping[str, Any]:
    if value is not None and not isinstance(value, dict):
        raise InvalidValue(f"`{field}` should be an object", param=field)
    return value or {}


def _add_seed(given: Mapping[str, Any], seed: int | None, field: str) -> Mapping[str, Any]:
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
        found = error.errors()[0]
        place = [_sent_name(str(part), given) for part in found["loc"][:1]] + [*found["loc"][1:]]
        raise describe({**found, "loc": place}, field) from error


def _sent_name(name: str, given: Mapping[str, Any]) -> str:
    """Returns the name under which a hyperparameter was sent, which may be OpenAI's."""
    names = (alias for alias, own in OPENAI_NAMES.items() if own == name and alias in given and name not in given)
    return next(names, name)


def _resolve_model(model: str, method: Method, store: ModelStore) -> tuple[str, str]:
    """Returns the preset or pinned id to train from, and the model's name without a version."""
    if model in method.presets:
        return model, model
    try:
        entry = store.resolve(model)
    except ModelNotFound as error:
        presets = f"there are {_join(method.presets)}" if method.presets else "the method has none"
        raise ModelNotFound(f"{error.message}; as a preset {presets}", param="model") from error
    if entry.manifest.modality != method.modality:
        raise InvalidValue(
            f"{entry.id} is of {entry.manifest.modality}, but the method trains {method.modality}", param="model"
        )
    if method.architectures and entry.manifest.architecture not in method.architectures:
        raise InvalidValue(
            f"{entry.id} is a {entry.manifest.architecture}, but the method trains {_join(method.architectures)}",
            param="model",
        )
    return entry.id, entry.name


def _pin_models(
    hyperparameters: TrainingHyperparameters, field: str, store: ModelStore, method: Method
) -> TrainingHyperparameters:
    """Replaces the models that hyperparameters name by their versions that are latest now."""
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


def _read_named_models(hyperparameters: TrainingHyperparameters, store: ModelStore) -> dict[str, dict[str, Any]]:
    """The configurations of the models that hyperparameters name, by the hyperparameter's name."""
    models = {name: getattr(hyperparameters, name) for name in hyperparameters.MODEL_FIELDS}
    return {name: _read_configuration(store, model) for name, model in models.items() if model is not None}


@contextmanager
def prefix_fields(field: str) -> Iterator[None]:
    """Makes errors name the hyperparameter as a field of the request. Errors of a file's data name the file."""
    try:
        yield
    except InvalidData:
        raise
    except InvalidValue as error:
        raise InvalidValue(error.message, param=f"{field}.{error.param}") from error


def _read_configuration(store: ModelStore, model: str) -> dict[str, Any]:
    """Reads the configuration of a stored model, with the longest input of its tokenizer."""
    folder = store.resolve(model).path
    longest = stored_config(folder, "tokenizer_config.json").get("model_max_length")
    return {**stored_config(folder), "model_max_length": longest}


def _join(names: Iterable[str]) -> str:
    return ", ".join(names)
