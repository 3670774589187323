"""Parts of an estimate that all modalities share: from a model's cost and the amount of data to the answer."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from app.errors import ModelNotFound
from app.jobs.jobs import Jobs
from app.jobs.spec import Estimate, Job, JobState
from app.methods import METHODS, TrainingHyperparameters
from app.store.store import ModelStore

_RECENT = 50  # jobs among which a finished one is looked for
_PROCESS_BYTES = 450_000_000  # of a process that has loaded torch and transformers
_FLOAT = 4

Seen = TypeVar("Seen")


class Material(NamedTuple, Generic[Seen]):
    """A job's files as they were looked at."""

    samples: Sequence[Seen]  # of each training file
    weights: Sequence[float]
    held_out: Seen | None  # of the validation file, if there is one

    @property
    def files(self) -> list[Seen]:
        """All of them."""
        return [*self.samples, *([] if self.held_out is None else [self.held_out])]


@dataclass(frozen=True)
class Layers:
    """The sizes of a transformer's layers."""

    count: int
    hidden: int
    intermediate: int
    heads: int
    gated: bool = False  # two projections into the feed-forward layer, as ModernBERT has them

    @property
    def parameters(self) -> int:
        """Those that every token is multiplied with."""
        return self.count * (4 * self.hidden**2 + (3 if self.gated else 2) * self.hidden * self.intermediate)

    def flops(self, length: float) -> float:
        """Floating-point operations a token: forward 2 a parameter, backward twice that (arXiv 2001.08361)."""
        return 6 * self.parameters + 12 * self.count * self.hidden * length

    def activations(self, length: float) -> float:
        """Numbers that a token's forward pass keeps for the backward one, after arXiv 2205.05198."""
        feed_forward = (4 if self.gated else 2) * self.intermediate
        return self.count * (10 * self.hidden + feed_forward + 2 * self.heads * length)


def layers_of(config: Mapping[str, Any], prefix: str = "") -> Layers:
    """By the names that transformers has for the layers of a vision transformer. Raises KeyError."""
    count, hidden, intermediate, heads = (
        int(config[prefix + name])
        for name in ("num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads")
    )
    return Layers(count, hidden, intermediate, heads)


class Cost(NamedTuple):
    """The cost of training a model. A token is a patch where items are cut into patches."""

    parameters: int
    flops: float  # a token
    activations: float  # numbers kept for a token
    step_tokens: int  # of an optimiser step


def recent_jobs(jobs: Jobs) -> list[Job]:
    return jobs.list(limit=_RECENT)[0]


def stored_config(store: ModelStore, model: str, name: str = "config.json") -> dict[str, Any]:
    """Reads the configuration of a stored model; empty if it has none."""
    file: Path = store.resolve(model).path / name
    found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return found if isinstance(found, dict) else {}


H = TypeVar("H", bound=TrainingHyperparameters)


def complete(
    known: Estimate,
    model: str,
    hp: H,
    cost_of: Callable[[str, H], Cost | None],
    recent: Sequence[Job],
    *,
    epoch: float,
    data_bytes: float,
) -> Estimate:
    """Adds the cost of training to what is known of the data, if the model's cost is known.

    epoch: tokens. data_bytes: of the decoded data. recent: jobs, latest first, of which one of the same method
    that has finished tells how fast this will be.
    """
    cost = cost_of(model, hp)
    if cost is None:
        return known
    speed = _speed(cost, hp, cost_of, recent)
    trained = _training_tokens(hp, cost.step_tokens, epoch, speed)
    limit = hp.max_minutes * 60 if hp.max_minutes else math.inf
    seconds = min(limit, trained / speed) if trained is not None and speed else limit
    return known.model_copy(
        update={
            "training_tokens": None if trained is None else round(trained),
            "seconds": round(seconds, 3) if math.isfinite(seconds) else None,
            "memory_bytes": _memory(cost, hp),
            "disk_bytes": round(data_bytes) + _results(cost, hp),
        }
    )


def _speed(cost: Cost, hp: H, cost_of: Callable[[str, H], Cost | None], recent: Sequence[Job]) -> float | None:
    """Tokens a second, if this job does as many operations a second as the last one that finished."""
    for job in recent:
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
    """At least a step's; None where minutes alone end the run, and nothing is known of the speed."""
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
