"""Turns a request for a sweep into the validated specification that is queued."""

import asyncio
import json
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from app.errors import AppError, InvalidValue
from app.jobs.kinds import Estimate, PretrainingSpec, SweepChild, SweepSpec
from app.methods import METHODS
from app.methods.base import OPENAI_NAMES, is_unset
from app.methods.groups import group_of
from app.store.names import MAX_NAME_LENGTH
from app.submission.job_specs import build_spec, check_disk, check_record_size
from app.submission.search import Parameter, Search, Settings, draw
from app.submission.submission import Submission, SubmissionServices
from app.submission.training_choice import SentHyperparameters, TrainingChoice, choose_training, read_method

MODEL = "model"  # the only setting of a sweep that is no hyperparameter
_DATA_GROUPS = ("data", "architecture")  # of hyperparameters that decide what is made of the files
_NUMBER = 6  # characters of a child's number, behind the sweep's name


@dataclass(frozen=True)
class SweepSubmission:
    """A request for a sweep. Types and ranges of its fields are checked; the job and the values are not.

    job: what the jobs have in common. count: of a random search.
    """

    job: Submission
    parameters: Mapping[str, Parameter]
    search: Search = "grid"
    count: int | None = None
    seed: int = 0
    sent: Mapping[str, Any] | None = None  # the request as it was sent, without secrets


async def build_sweep_spec(submission: SweepSubmission, services: SubmissionServices) -> SweepSpec:
    """Checks every combination of settings, and the files for the first one.

    Raises the errors of `build_spec`. Their `param` is a field of `job` or of `parameters`.
    """
    with place_fields(submission.parameters):
        children, choices = await asyncio.to_thread(_choose_all, submission, services)
        base = await build_spec(children[0], services)
    return await asyncio.to_thread(_complete, submission, children, choices, base, services)


def _choose_all(
    submission: SweepSubmission, services: SubmissionServices
) -> tuple[list[Submission], list[tuple[Settings, TrainingChoice]]]:
    """Returns the submission of each child, with its settings and what they become."""
    job = submission.job
    sent = read_method(job, services.store)
    method = sent.method_name
    _check_names(submission, sent)
    limit = services.settings.max_sweep_jobs
    integers = frozenset(name for name in submission.parameters if _is_integer(method, name))
    drawn = draw(submission.parameters, submission.search, submission.count, submission.seed, limit, integers)
    children = [_replace_settings(job, sent, settings) for settings in drawn]
    choices = list(zip(drawn, (choose_training(child, services.store) for child in children), strict=True))
    _refuse_equal(choices)
    return children, choices


def _check_names(submission: SweepSubmission, sent: SentHyperparameters) -> None:
    """Raises InvalidValue for parameters that do not exist, or that are set twice."""
    method = sent.method_name
    set_by_job = {_own_name(method, name) for name, value in sent.values.items() if not is_unset(value)}
    if submission.job.seed is not None:
        set_by_job.add("seed")
    found: set[str] = set()
    for name in submission.parameters:
        param, own = f"parameters.{name}", _own_name(method, name)
        if own != MODEL and own not in METHODS[method].hyperparameters.model_fields:
            raise InvalidValue(f"`{name}` is not a hyperparameter of {method}", param=param)
        if own in set_by_job:
            raise InvalidValue(f"`{name}` is a parameter of the sweep, and `job` sets it too", param=param)
        if own in found:
            raise InvalidValue(f"`{name}` is another name of a parameter of the sweep", param=param)
        found.add(own)


def _own_name(method: str, name: str) -> str:
    """Returns the hyperparameter that a name sets, which may be one of OpenAI's names."""
    return name if name in METHODS[method].hyperparameters.model_fields else OPENAI_NAMES.get(name, name)


def _refuse_equal(choices: Sequence[tuple[Settings, TrainingChoice]]) -> None:
    """Raises InvalidValue for two jobs that would be the same, as with "auto" and the default of a hyperparameter."""
    found: dict[str, Settings] = {}
    for settings, choice in choices:
        key = f"{choice.model} {choice.hyperparameters.model_dump_json()}"
        if (other := found.setdefault(key, settings)) is not settings:
            name = next((name for name in settings if settings[name] != other[name]), next(iter(settings)))
            values = " and ".join(json.dumps(each[name], ensure_ascii=False) for each in (other, settings))
            raise InvalidValue(f"{values} are the same value of `{name}`", param=f"parameters.{name}")


def _is_integer(method: str, name: str) -> bool:
    """Returns whether a hyperparameter is a whole number."""
    properties = METHODS[method].hyperparameters.model_json_schema()["properties"]
    found = properties.get(_own_name(method, name), {})
    return "integer" in {each.get("type") for each in (found, *found.get("anyOf", []))}


def _replace_settings(job: Submission, sent: SentHyperparameters, settings: Settings) -> Submission:
    """Returns the submission of a child."""
    hyperparameters = {**sent.values, **{name: value for name, value in settings.items() if name != MODEL}}
    model = settings.get(MODEL, job.model)
    if not isinstance(model, str):
        raise InvalidValue("`model` takes names of models", param="parameters.model")
    method = {"type": sent.method_name}
    common = {**job.sent, "method": method, "hyperparameters": dict(sent.values)}
    return replace(job, model=model, method=method, hyperparameters=hyperparameters, sent=common)


def _complete(
    submission: SweepSubmission,
    children: Sequence[Submission],
    choices: Sequence[tuple[Settings, TrainingChoice]],
    base: PretrainingSpec,
    services: SubmissionServices,
) -> SweepSpec:
    names = (OPENAI_NAMES.get(name, name) for name in submission.parameters)
    shared = not any(name == MODEL or group_of(name) in _DATA_GROUPS for name in names)
    cost = _multiply(base.estimate or Estimate(), len(children), share_data=shared)
    check_disk(cost, services.settings)
    if len(base.name) > MAX_NAME_LENGTH - _NUMBER:
        message = f"the name of a sweep may have {MAX_NAME_LENGTH - _NUMBER} characters: its jobs add their numbers"
        raise InvalidValue(message, param=f"job.{submission.job.name_field}")
    spec = SweepSpec(
        name=base.name,
        base=base.model_copy(update={"estimate": None, "webhook": None}),
        children=tuple(
            SweepChild(
                settings=dict(settings),
                model=choice.model,
                hyperparameters={
                    name: value
                    for name, value in choice.hyperparameters.model_dump().items()
                    if base.hyperparameters.get(name) != value
                },
            )
            for settings, choice in choices
        ),
        search=submission.search,
        seed=submission.seed,
        estimate=cost,
        metadata=base.metadata,
        resources=base.resources,
        webhook=base.webhook,
        request=dict(submission.sent or {}),
    )
    check_record_size(spec)
    return spec


def _multiply(estimate: Estimate, count: int, *, share_data: bool) -> Estimate:
    """Returns the estimate of so many jobs that are alike. They share the memory of a worker.

    share_data: whether they also share what is made of their files, as jobs with one tokenizer do.
    """
    values = {name: getattr(estimate, name) for name in ("training_tokens", "seconds", "disk_bytes")}
    summed = {name: value * count for name, value in values.items() if value is not None}
    if share_data and "disk_bytes" in summed:
        summed["disk_bytes"] -= (estimate.shared_disk_bytes or 0) * (count - 1)
    return estimate.model_copy(update=summed)


@contextmanager
def place_fields(parameters: Container[str]) -> Iterator[None]:
    """Makes errors name a field of the sweep's request: one of the parameters, or a field of `job`."""
    try:
        yield
    except AppError as error:
        if error.param and not error.param.startswith(("parameters", "count", "search")):
            name = error.param.split(".")[-1]
            field = f"parameters.{name}" if name in parameters else f"job.{error.param}"
            error.message = error.message.replace(f"`{error.param}`", f"`{field}`")
            error.param = field
        raise
