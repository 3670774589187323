"""The evaluations of a run: how many samples each reads, its metrics and baselines, and an illustration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from app.modalities.trainable import AnyTrainable
from app.training.data.mixture import count_indices
from app.training.hooks import Dataset, Probe
from app.training.loop.distributed import ProcessGroup
from app.training.loop.evaluate import evaluate, masked_samples, measure_sample, spread
from app.training.loop.illustrate import illustrate
from app.training.loop.optimizer import autocast
from app.training.loop.plan import Plan

BASELINE_TOKENS = 1_000_000  # of the training data, which baselines are fitted on
MAX_POINTS = 200  # evaluations that a checkpoint remembers


@dataclass(frozen=True)
class Evaluation:
    """metrics: with the prefix `eval_`, and `step`. message: for people. illustration: file ending and content."""

    metrics: dict[str, float]
    message: str
    illustration: tuple[str, bytes] | None


class Evaluator:
    """Evaluates the objective of a run. In a group, each process has one, and all call it together."""

    def __init__(
        self,
        objective: AnyTrainable,
        training: Dataset,
        held_out: Dataset,
        device: torch.device,
        group: ProcessGroup,
        probes: Sequence[Probe] = (),
    ) -> None:
        self._objective, self._training, self._held_out = objective, training, held_out
        self._device, self._group, self._probes = device, group, probes
        self._baselines: Mapping[str, float] | None = None

    def choose_samples(self, plan: Plan) -> int:
        """Returns the number of samples of each evaluation. Raises EvaluationOutOfMemory."""
        seconds = 0.0
        if plan.eval_interval is None and plan.max_seconds is not None:
            with autocast(self._device, plan.precision):
                seconds = measure_sample(self._objective, self._held_out, plan, self._device, self._group)
        return self._group.broadcast(plan.eval_samples(seconds))

    def evaluate(self, plan: Plan, step: int, samples: int) -> Evaluation:
        """Evaluates the weights after `step`. Raises EvaluationOutOfMemory."""
        with autocast(self._device, plan.precision):
            found = evaluate(self._objective, self._held_out, plan, self._device, self._group, samples)
            shown = illustrate(self._objective, self._held_out, self._device) if self._group.is_main else None
            if self._group.is_main:
                found = {**found, **self._evaluate_beside()}
        message = f"Step {step}: held-out " + ", ".join(f"{name} {value:.4f}" for name, value in found.items())
        if self._group.is_main:
            found = {**found, **self._fit_baselines(samples)}
        metrics = {f"eval_{name}": value for name, value in found.items()} | {"step": step}
        return Evaluation(metrics, message, shown)

    @torch.no_grad()
    def _evaluate_beside(self) -> Mapping[str, float]:
        """Returns the metrics of the main process alone: those of the objective, and the scores of the probes."""
        self._objective.model.eval()
        scores = {name_probe(place): probe.measure() for place, probe in enumerate(self._probes)}
        known = {name: score for name, score in scores.items() if score is not None}
        return {**self._objective.evaluate_beside(), **known}

    def _fit_baselines(self, samples: int) -> Mapping[str, float]:
        """Returns the metrics of the objective's baselines on the samples of each evaluation."""
        if self._baselines is None:
            data = self._training
            count = max(1, BASELINE_TOKENS * len(data) // max(data.tokens, 1))
            rows = spread(len(self._held_out), samples).tolist()
            self._baselines = self._objective.baselines(
                (data[row] for row in spread(count_indices(data), count).tolist()),
                masked_samples(self._objective, self._held_out, rows),
            )
        return self._baselines


def name_probe(place: int) -> str:
    """Returns the name of the score of a run's probe, by its place among them."""
    return f"probe_{place + 1}" if place else "probe"


def thin_out(curve: list[Any]) -> list[Any]:
    """Returns the curve with every second point left out, but the first and the last, if it has too many."""
    return curve if len(curve) <= MAX_POINTS else [*curve[:-1:2], curve[-1]]
