"""The plan of a run: its hyperparameters with every default resolved for its data."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch

from app.methods import TrainingHyperparameters
from app.methods.base import SCRATCH_LEARNING_RATE
from app.methods.early_stopping import EarlyStoppingMetric
from app.training.loop.checkpoint import TrainState
from app.training.loop.schedule import decay_start, learning_rate_factor

NEW_HEAD_FACTOR = 5.0  # a new head on a trained encoder has to learn faster than the encoder
STABLE = "warmup-stable-decay"
EVALUATIONS = 10  # of a run, unless eval_interval is set; there is one more before the first step
EVALUATION_SHARE = 0.12  # of a run's time, which its evaluations may take together
MIN_EVAL_SAMPLES = 32  # an evaluation of fewer samples would say little
FORWARDS_OF_A_STEP = 3  # a backward pass takes about twice the time of a forward pass
LOGS, LOG_STEPS = 50, 10  # training metrics of a run that time may end, and the most steps between two of them
CHECKPOINT_STEPS, CHECKPOINT_SECONDS = 500, 600.0  # a killed process loses no more training than this


class Due(NamedTuple):
    """How much of each kind is due from the start of a run until a state. What grows with a step follows this step."""

    evaluations: int  # without the one before the first step
    logs: int  # of training metrics
    checkpoints: int  # without those that follow evaluations


@dataclass(frozen=True)
class Plan:
    """How a run trains. A pure function of its hyperparameters and the size of its data."""

    total_steps: int | None  # None: only `max_seconds` ends the run
    max_seconds: float | None
    samples_per_step: int
    samples_per_micro_batch: int
    learning_rate: float
    head_learning_rate: float
    schedule: str
    warmup_ratio: float
    decay_ratio: float
    weight_decay: float
    betas: tuple[float, float]
    max_grad_norm: float
    precision: torch.dtype
    seed: int
    log_interval: int | None  # None: a fiftieth of the run, at most LOG_STEPS
    eval_interval: int | None  # None: a tenth of the run, by the limit that is reached first
    checkpoint_interval: int | None  # None: after each evaluation, CHECKPOINT_STEPS and CHECKPOINT_SECONDS
    keep_checkpoints: int
    max_eval_samples: int
    early_stopping_patience: int | None = None
    early_stopping_min_delta: float = 0.0
    early_stopping_metric: EarlyStoppingMetric = "eval_loss"
    extended_from: int = 0  # the step at which the latest extension began
    memory_kills: int = 0  # earlier attempts that the kernel killed because memory ran out

    def fraction(self, state: TrainState) -> float:
        """Returns the share of the run that is done, in [0, 1], by the limit that is reached first."""
        by_steps = state.step / self.total_steps if self.total_steps else 0.0
        by_time = state.seconds / self.max_seconds if self.max_seconds else 0.0
        return min(1.0, max(by_steps, by_time))

    def is_finished(self, state: TrainState) -> bool:
        return self.fraction(state) >= 1.0

    def due(self, state: TrainState) -> Due:
        fraction, step = self.fraction(state), state.step
        evaluations = step // self.eval_interval if self.eval_interval else _count(fraction, EVALUATIONS)
        logs = step // self.log_interval if self.log_interval else _count(fraction, LOGS) + step // LOG_STEPS
        checkpoints = step // CHECKPOINT_STEPS + int(state.seconds / CHECKPOINT_SECONDS)
        return Due(evaluations, logs, step // self.checkpoint_interval if self.checkpoint_interval else checkpoints)

    @property
    def saves_evaluations(self) -> bool:
        """Whether a checkpoint follows each evaluation.

        Where time decides about evaluations, a resumed run would otherwise repeat one at another step.
        """
        return self.checkpoint_interval is None or (self.eval_interval is None and self.max_seconds is not None)

    def eval_samples(self, seconds_a_sample: float) -> int:
        """Returns the number of held-out samples of each evaluation, so that all take their share of the time at most.

        At least MIN_EVAL_SAMPLES, and at most `max_eval_samples`, which an explicit `eval_interval` always takes.

        Args:
            seconds_a_sample: Measured time of a held-out sample. Only runs that time may end depend on it.
        """
        if self.eval_interval is not None:
            return self.max_eval_samples
        budgets: list[float] = [self.max_eval_samples]
        share = EVALUATION_SHARE / (EVALUATIONS + 1)
        if self.max_seconds is not None:
            budgets.append(share * self.max_seconds / max(seconds_a_sample, 1e-9))
        if self.total_steps is not None:
            budgets.append(share * FORWARDS_OF_A_STEP * self.total_steps * self.samples_per_step)
        return max(min(MIN_EVAL_SAMPLES, self.max_eval_samples), int(min(budgets)))

    def learning_rate_factor(self, state: TrainState) -> float:
        """Returns the factor on the peak learning rate for the next step, in [0, 1]."""
        progress = self._progress(state)
        return learning_rate_factor(progress, self.schedule, warmup=self.warmup_ratio, decay=self.decay_ratio)

    def decays(self, state: TrainState) -> bool:
        """Returns True if the next step is within the decay of `warmup-stable-decay`."""
        start = decay_start(warmup=self.warmup_ratio, decay=self.decay_ratio)
        return self.schedule == STABLE and self._progress(state) > start

    def _progress(self, state: TrainState) -> float:
        """Returns the progress in the middle of the next step, so that no step has a learning rate of zero."""
        by_steps = (state.step + 0.5) / self.total_steps if self.total_steps else 0.0
        return max(self.fraction(state), by_steps)


def _count(fraction: float, parts: int) -> int:
    """Returns how many of `parts` equal parts of a run are done. The small number absorbs rounding."""
    return int(fraction * parts + 1e-9)


def make_plan(
    hyperparameters: TrainingHyperparameters,
    *,
    samples: int,
    tokens: int,
    samples_per_step: int,
    from_scratch: bool,
    new_head: bool,
    precision: torch.dtype,
    scratch_rate: float = SCRATCH_LEARNING_RATE,
    extended_from: int = 0,
) -> Plan:
    """Resolves every default of the hyperparameters.

    `samples` and `tokens` are of the training data. They determine the steps of an epoch and of a token budget.
    scratch_rate: the learning rate from scratch.
    """
    hp = hyperparameters
    total = _total_steps(hp, samples, tokens, samples_per_step)
    log_interval = max(1, min(LOG_STEPS, total // LOGS)) if total and not hp.max_minutes else None
    rate = hp.learning_rate or (scratch_rate if from_scratch else hp.CONTINUE_LEARNING_RATE)
    head = hp.head_learning_rate or rate * (NEW_HEAD_FACTOR if new_head and not from_scratch else 1.0)
    return Plan(
        total_steps=total,
        max_seconds=hp.max_minutes * 60 if hp.max_minutes else None,
        samples_per_step=samples_per_step,
        samples_per_micro_batch=max(1, samples_per_step // (hp.gradient_accumulation_steps * hp.processes)),
        learning_rate=rate,
        head_learning_rate=head,
        schedule=hp.schedule,
        warmup_ratio=hp.warmup_ratio,
        decay_ratio=hp.decay_ratio,
        weight_decay=hp.weight_decay,
        betas=(hp.adam_beta1, hp.adam_beta2),
        max_grad_norm=hp.max_grad_norm,
        precision=precision,
        seed=hp.seed,
        log_interval=hp.log_interval or log_interval,
        eval_interval=hp.eval_interval,
        checkpoint_interval=hp.checkpoint_interval,
        keep_checkpoints=hp.keep_checkpoints,
        max_eval_samples=hp.max_eval_samples,
        early_stopping_patience=hp.early_stopping_patience,
        early_stopping_min_delta=hp.early_stopping_min_delta,
        early_stopping_metric=hp.early_stopping_metric,
        extended_from=extended_from,
    )


def _total_steps(hp: TrainingHyperparameters, samples: int, tokens: int, samples_per_step: int) -> int | None:
    """Returns the steps of a run by the limit that is reached first. None: only time ends the run."""
    limits: list[float] = []
    if hp.max_steps:
        limits.append(hp.max_steps)
    if hp.epochs:
        limits.append(hp.epochs * samples / samples_per_step)
    if hp.max_tokens:
        limits.append(hp.max_tokens / (tokens / samples * samples_per_step))
    if not limits and not hp.max_minutes:
        limits.append(samples / samples_per_step)
    return max(1, math.ceil(min(limits))) if limits else None
