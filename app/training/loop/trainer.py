"""The training loop. It knows an objective, datasets and a plan, and reports through hooks."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from app.devices import free_memory
from app.errors import OutOfMemory
from app.modalities.trainable import AnyTrainable, Counts, Metrics
from app.training.hooks import Dataset, Hooks, Probe, Snapshot
from app.training.loop.checkpoint import (
    CheckpointError,
    TrainState,
    checkpoint_path,
    delete_later_checkpoints,
    load_checkpoint,
    save_checkpoint,
)
from app.training.loop.distributed import ProcessGroup
from app.training.loop.early_stopping import describe_early_stop, has_stalled, record_best
from app.training.loop.evaluate import EvaluationOutOfMemory
from app.training.loop.evaluator import Evaluation, Evaluator, thin_out
from app.training.loop.faults import check_predictions, explain_divergence
from app.training.loop.gradients import GradientReducer
from app.training.loop.optimizer import make_optimizer
from app.training.loop.plan import Plan
from app.training.loop.prefetch import Prefetcher
from app.training.loop.progress import estimate_progress
from app.training.loop.resume import resume, shrink_micro_batches
from app.training.loop.step import compute_gradients, iterate_steps


@dataclass(frozen=True)
class Outcome:
    """The state in which a run ended, and the metrics of its result."""

    state: TrainState
    metrics: dict[str, float]
    stopped: str | None  # the reason that `should_stop` gave; None if the run reached its end


class Trainer:
    """Trains an objective by a plan, with checkpoints in `folder`.

    In a group of several processes each one runs a Trainer. The one of rank 0 reports and writes.
    """

    def __init__(
        self,
        objective: AnyTrainable,
        data: Dataset,
        held_out: Dataset,
        plan: Plan,
        hooks: Hooks,
        folder: Path,
        group: ProcessGroup | None = None,
        probes: Sequence[Probe] = (),
    ) -> None:
        self.group = group or ProcessGroup()
        self.objective, self.data = objective, data
        self.plan, self.hooks, self.folder = plan, hooks, folder
        self.device = next(objective.model.parameters()).device
        self._evaluator = Evaluator(objective, data, held_out, self.device, self.group, probes)
        self._unreported: Evaluation | None = None
        self.optimizer = make_optimizer(objective.model, plan)
        self._reducer = GradientReducer(objective.model, self.group.size)
        self.state = TrainState()
        self.eval_metrics: dict[str, float] = {}
        self._window = Metrics()  # summed since the latest log
        self._window_started = (0.0, 0)  # (seconds, tokens) of the state at the latest log
        self._checkpoint_due = False
        self._due = plan.due(self.state)  # until the latest step
        self._decaying = False  # whether the latest step was within the decay of the learning rate
        self._waited = 0.0  # seconds spent waiting for data since the latest log
        self._grad_norm = 0.0
        self._predicted = 0  # positions in this attempt
        self._closing_seconds = 0.0  # estimate of the time after the last step, from the latest evaluation

    def run(self) -> Outcome:
        """Trains from the newest checkpoint, if there is one, to the end or until `should_stop` gives a reason."""
        self._restore()
        first = self.state.step
        if not first:
            self._evaluate()
        self._report_evaluation()
        stopped = self._train(first)
        if stopped is None:
            check_predictions(self._predicted, self.state.step - first, ended=True)
            if self.eval_metrics.get("step") != self.state.step:
                self._evaluate()
        self._checkpoint()
        self._report_evaluation()
        if stopped is None:
            self._restore_best()
        return Outcome(self.state, self.eval_metrics, stopped)

    def _train(self, first: int) -> str | None:
        """Takes steps to the end of the plan. Returns why the run was stopped, or None at its end.

        first: the step from which this attempt continues.
        """
        batches = self._start_batches()
        try:
            while not (self.plan.is_finished(self.state) or has_stalled(self.plan, self.state)):
                reason = self.group.broadcast(self.hooks.should_stop())
                if reason:
                    return reason
                began, before = time.monotonic(), self.state.seconds
                micro_batches = next(batches)
                self._waited += time.monotonic() - began
                if not self._step(micro_batches):
                    self._halve_micro_batches()
                    batches.close()
                    batches = self._start_batches()  # the state is unchanged: the same samples again
                    continue
                check_predictions(self._predicted, self.state.step - first, ended=False)
                self._report()
                beside = time.monotonic() - began - (self.state.seconds - before)
                self.state = replace(self.state, beside=self.state.beside + max(0.0, beside))
            return None
        finally:
            batches.close()

    def _restore_best(self) -> None:
        """Loads the weights of the best evaluation, if the run keeps them."""
        best = self.state.best
        if best is None or best["step"] == self.state.step:
            return
        if has_stalled(self.plan, self.state):
            self.hooks.on_event(describe_early_stop(self.plan, self.state))
        try:
            load_checkpoint(checkpoint_path(self.folder, int(best["step"])), self.objective.model)
        except CheckpointError as e:
            message = f"The best weights are lost, so the result has the last ones: {e.message}"
            self.hooks.on_event(message, level="warn")
        else:
            self.eval_metrics = dict(best)

    def _restore(self) -> None:
        self.state, self.plan = resume(self.folder, self.objective.model, self.optimizer, self.plan, self.hooks)
        self.group.broadcast_weights(self.objective.model)
        self.group.sum(0)  # waits until all processes have read: the sender's broadcast may end earlier
        if self.group.is_main:  # later checkpoints are broken, or an extension has gone back behind them
            delete_later_checkpoints(self.folder, self.state.step)
        self._window_started = (self.state.seconds, self.state.tokens)
        self._due = self.plan.due(self.state)
        if self.state.curve and self.state.curve[-1]["step"] == self.state.step:
            # The process may have ended before it reported what its checkpoint knows. A report twice is dropped.
            self.eval_metrics = dict(self.state.curve[-1])
            self._unreported = Evaluation(self.eval_metrics, f"Step {self.state.step} was evaluated before", None)

    def _start_batches(self) -> Prefetcher:
        return Prefetcher(
            iterate_steps(self.objective, self.data, self.plan, self.state, self.group, latest=lambda: self.state)
        )

    def _step(self, micro_batches: Sequence[Any]) -> bool:
        """Takes one optimizer step. Returns False, with nothing changed, if memory did not suffice."""
        started = time.monotonic()
        self.objective.model.train()
        self.objective.start_step(self.state.step, self.plan.fraction(self.state))
        self._set_learning_rate()
        positions, items, tokens = self.group.sum(
            sum(batch.counts.positions for batch in micro_batches),
            sum(batch.counts.items for batch in micro_batches),
            sum(batch.tokens for batch in micro_batches),
        )
        whole = Counts(positions, items)
        metrics = compute_gradients(
            self.objective, micro_batches, whole, self.plan, self.state, self.group, self._reducer
        )
        if metrics is None:
            self.optimizer.zero_grad(set_to_none=True)
            return False
        self._window += metrics
        norm = torch.nn.utils.clip_grad_norm_(self.objective.model.parameters(), self.plan.max_grad_norm)
        self._grad_norm = float(norm)
        if not math.isfinite(self._grad_norm):
            raise explain_divergence(self.state.step + 1, micro_batches)
        self._predicted += positions
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.state = replace(
            self.state,
            step=self.state.step + 1,
            samples=self.state.samples + self.plan.samples_per_step,
            tokens=self.state.tokens + tokens,
            seconds=self.group.broadcast(self.state.seconds + time.monotonic() - started),
        )
        return True

    def _halve_micro_batches(self) -> None:
        free_memory(self.device)
        before = self.plan.samples_per_micro_batch
        if before == 1:
            raise OutOfMemory(
                f"memory ran out at step {self.state.step + 1} with one sample at a time;"
                " use a smaller model or shorter samples"
            )
        why = f"Memory ran out at step {self.state.step + 1} with {before} samples at a time"
        self.state, self.plan = shrink_micro_batches(self.state, self.plan, before // 2, why, self.hooks)

    def _set_learning_rate(self) -> None:
        self._decaying = self.plan.decays(self.state)
        factor = self.plan.learning_rate_factor(self.state)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor

    def _report(self) -> None:
        step, plan, before = self.state.step, self.plan, self._due
        self._due = plan.due(self.state)
        self.hooks.on_progress(self.snapshot())
        if self._due.logs > before.logs:
            self._log()
        if self._due.evaluations > before.evaluations:
            self._evaluate()
            self._checkpoint_due = self._checkpoint_due or plan.saves_evaluations
        if plan.decays(self.state) and not self._decaying:
            self.state = replace(self.state, before_decay=step)
        self._checkpoint_due = self._checkpoint_due or self._due.checkpoints > before.checkpoints
        # The best weights, and those before the decay, can only be saved now. Other checkpoints may wait.
        if step in self._kept_steps() or (self._checkpoint_due and self.hooks.can_save()):
            self._checkpoint()
        self._report_evaluation()

    def _kept_steps(self) -> tuple[int | None, ...]:
        """Returns the steps whose checkpoints are kept when newer ones replace the rest."""
        return self.state.before_decay, int(self.state.best["step"]) if self.state.best else None

    def snapshot(self) -> Snapshot:
        """Returns the progress of the run, with the pace since the latest log."""
        return estimate_progress(
            self.plan,
            self.state,
            len(self.data),
            since=self._window_started,
            closing_seconds=self._closing_seconds,
        )

    def _log(self) -> None:
        now = self.snapshot()
        busy = self.state.seconds - self._window_started[0]
        means = self.objective.summarise(self.group.sum_metrics(self._window))
        data = {f"train_{k}": v for k, v in means.items()} | {
            "step": now.step,
            "tokens": now.tokens,
            "epoch": round(now.epoch, 4),
            "learning_rate": max(g["lr"] for g in self.optimizer.param_groups if "body" in g["name"]),
            "grad_norm": self._grad_norm,
            "tokens_per_second": round(now.tokens_per_second, 1),
            "data_wait_share": round(self._waited / max(self._waited + busy, 1e-9), 4),
        }
        self.hooks.on_event(f"Step {now.step}: training loss {data.get('train_loss', 0.0):.4f}", data, kind="metrics")
        self._window, self._waited = Metrics(), 0.0
        self._window_started = (self.state.seconds, self.state.tokens)

    def _evaluate(self) -> None:
        """Evaluates the weights. The report waits for the checkpoint that remembers the evaluation."""
        began = time.monotonic()
        try:
            samples = self.state.eval_samples or self._evaluator.choose_samples(self.plan)
            found = self._evaluator.evaluate(self.plan, self.state.step, samples)
        except EvaluationOutOfMemory:
            self._halve_micro_batches()
            self._evaluate()
            return
        self.eval_metrics, self._unreported = found.metrics, found
        curve = thin_out([*self.state.curve, found.metrics])
        self.state = record_best(self.plan, replace(self.state, eval_samples=samples, curve=curve), found.metrics)
        self._closing_seconds = time.monotonic() - began

    def _report_evaluation(self) -> None:
        found, self._unreported = self._unreported, None
        if found is None:
            return
        self.hooks.on_event(found.message, found.metrics, kind="metrics")
        if found.illustration is not None:
            self.hooks.on_artifact(int(found.metrics["step"]), *found.illustration)

    def _checkpoint(self) -> None:
        self._checkpoint_due = False
        newest = checkpoint_path(self.folder, self.state.step)
        if not self.group.is_main or self.state.step == 0 or (newest / "manifest.json").exists():
            return
        folder = save_checkpoint(
            self.folder,
            self.objective.model,
            self.optimizer,
            self.state,
            keep=self.plan.keep_checkpoints,
            keep_also=self._kept_steps(),
            fence=self.hooks.fence,
        )
        metrics = self.eval_metrics if self.eval_metrics.get("step") == self.state.step else {}
        self.hooks.on_checkpoint(self.state.step, folder, metrics)
