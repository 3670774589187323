"""Estimates of a job's cost, from the beginning of its files and its model's configuration."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from app.errors import ModelNotFound
from app.jobs.jobs import Jobs
from app.jobs.kinds import Estimate, JobState, PretrainingSpec
from app.jobs.spec import Job
from app.methods import METHODS, TrainingHyperparameters
from app.modalities.estimator import CheckedFiles, Cost, DataAmount
from app.modalities.registry import modality_of_method
from app.store.store import ModelStore

_RECENT = 50  # jobs among which a finished one is looked for
_PROCESS_BYTES = 450_000_000  # of a process that has loaded torch and transformers
_FLOAT = 4

CostOf = Callable[[str, Any], Cost | None]  # (model, hyperparameters) → its cost, if it is known


def recent_jobs(jobs: Jobs) -> list[Job]:
    return jobs.list(limit=_RECENT)[0]


def estimate(
    method: str,
    model: str,
    hp: TrainingHyperparameters,
    files: CheckedFiles[Any],
    store: ModelStore,
    recent: Sequence[Job],
) -> Estimate:
    """Estimates a job of a method.

    recent: jobs, latest first, of which one of the same method that has finished tells how fast this will be.
    Raises InvalidData where it is plain that there is too little data.
    """
    estimator = modality_of_method(method).estimator(method)

    def find(stored: str) -> Path:
        return store.resolve(stored).path

    amount = estimator.amount(model, hp, files, find)
    known = Estimate(
        documents=amount.documents,
        samples=amount.samples,
        tokens=amount.tokens,
        sampled=amount.sampled,
        tokenizer=amount.tokenizer,
        read_as=dict(amount.read_as),
    )
    return complete(known, amount, model, hp, lambda m, given: estimator.cost(m, given, find), recent)


def complete(
    known: Estimate,
    amount: DataAmount,
    model: str,
    hp: TrainingHyperparameters,
    cost_of: CostOf,
    recent: Sequence[Job],
) -> Estimate:
    """Adds the cost of training to what is known of the data, if the model's cost is known."""
    cost = cost_of(model, hp)
    if cost is None:
        return known
    cost = cost._replace(step_tokens=amount.step_tokens or cost.step_tokens)
    speed = _speed(cost, hp, cost_of, recent)
    trained = _training_tokens(hp, cost.step_tokens, amount.epoch_tokens, speed)
    limit = hp.max_minutes * 60 if hp.max_minutes else math.inf
    seconds = min(limit, trained / speed) if trained is not None and speed else limit
    return known.model_copy(
        update={
            "training_tokens": None if trained is None else round(trained),
            "seconds": round(seconds, 3) if math.isfinite(seconds) else None,
            "memory_bytes": _memory(cost, hp),
            "disk_bytes": round(amount.shard_bytes) + _results(cost, hp),
            "shared_disk_bytes": round(amount.shard_bytes),
        }
    )


def _speed(cost: Cost, hp: TrainingHyperparameters, cost_of: CostOf, recent: Sequence[Job]) -> float | None:
    """Tokens a second, if this job does as many operations a second as the last one that finished."""
    for job in recent:
        if not isinstance(job.spec, PretrainingSpec):
            continue
        done, method = job.progress.tokens_per_second, METHODS.get(job.spec.method)
        if job.state is JobState.SUCCEEDED and done and method and method.hyperparameters is type(hp):
            try:
                other = cost_of(job.spec.model, type(hp).model_validate(job.spec.hyperparameters))
            except ModelNotFound:
                continue
            if other is not None:
                return done * other.flops / cost.flops
    return None


def _training_tokens(hp: TrainingHyperparameters, step: int, epoch: float, speed: float | None) -> float | None:
    """Returns the tokens of a run, at least those of a step. None if only time ends it and the speed is unknown."""
    limits = [
        hp.max_steps * step if hp.max_steps else None,
        hp.epochs * epoch if hp.epochs else None,
        hp.max_tokens,
        None if hp.max_steps or hp.epochs or hp.max_tokens or hp.max_minutes else epoch,
    ]
    found = [float(max(limit, step)) for limit in limits if limit is not None]
    if hp.max_minutes and speed:
        found.append(hp.max_minutes * 60 * speed)
    return min(found, default=None)


def _memory(cost: Cost, hp: TrainingHyperparameters) -> int:
    state = 4 * cost.parameters * _FLOAT  # weights, gradients and AdamW's two moments
    micro = cost.step_tokens // (hp.gradient_accumulation_steps * hp.processes)
    return round(hp.processes * (_PROCESS_BYTES + state + micro * cost.activations * _FLOAT))


def _results(cost: Cost, hp: TrainingHyperparameters) -> int:
    """Bytes of the checkpoints, the export and its publication."""
    checkpoints = hp.most_checkpoints * 3 * cost.parameters * _FLOAT
    return checkpoints + 2 * cost.parameters * (_FLOAT if hp.export_dtype == "float32" else 2)
