"""The training loop. Knows an objective, a dataset and a plan; reports through hooks."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from app.devices import free_memory, is_out_of_memory
from app.errors import OutOfMemory
from app.modalities.base import Counts, Metrics, Objective
from app.training.data.mixture import iterate_samples
from app.training.data.order import Stream, generator
from app.training.hooks import Dataset, Hooks, Snapshot
from app.training.loop.checkpoint import (
    CheckpointError,
    TrainState,
    checkpoint_path,
    delete_later_checkpoints,
    load_checkpoint,
    save_checkpoint,
)
from app.training.loop.distributed import ProcessGroup
from app.training.loop.early_stopping import describe_early_stop, has_stalled, pick_better
from app.training.loop.evaluate import evaluate
from app.training.loop.faults import check_predictions, explain_divergence
from app.training.loop.illustrate import illustrate
from app.training.loop.optimizer import autocast, make_optimizer
from app.training.loop.plan import Plan
from app.training.loop.prefetch import Prefetcher
from app.training.loop.resume import resume, shrink_micro_batches


@dataclass(frozen=True)
class Outcome:
    state: TrainState
    metrics: dict[str, float]
    stopped: str | None  # what should_stop said; None when the run came to its end


class Trainer:
    """group: the processes that take part; every one of them runs a Trainer, and rank 0's reports and writes."""

    def __init__(
        self,
        objective: Objective,
        data: Dataset,
        held_out: Dataset,
        plan: Plan,
        hooks: Hooks,
        folder: Path,
        group: ProcessGroup | None = None,
    ) -> None:
        self.group = group or ProcessGroup()
        self.objective, self.data, self.held_out = objective, data, held_out
        self.plan, self.hooks, self.folder = plan, hooks, folder
        self.device = next(objective.model.parameters()).device
        self.optimizer = make_optimizer(objective.model, plan)
        self.state = TrainState()
        self.eval_metrics: dict[str, float] = {}
        self._window = Metrics()
        self._window_started = (0.0, 0)  # (seconds, tokens)
        self._due = False  # a checkpoint is
        self._decaying = False  # the learning rate of the latest step
        self._waited = 0.0  # seconds for data, since the last log
        self._grad_norm = 0.0
        self._predicted = 0  # positions, in this attempt
        self._closing_seconds = 0.0  # that the end takes after the last step: an evaluation, a checkpoint, an export

    def run(self) -> Outcome:
        """Trains from the newest checkpoint, if there is one, to the end or until asked to stop."""
        self._restore()
        first, stopped = self.state.step, None
        batches = Prefetcher(self._steps())
        try:
            while not (self.plan.finished(self.state) or has_stalled(self.plan, self.state)):
                if stopped := self.group.broadcast(self.hooks.should_stop()):
                    break
                began, before = time.monotonic(), self.state.seconds
                batch = next(batches)
                self._waited += time.monotonic() - began
                if self._step(batch):
                    check_predictions(self._predicted, self.state.step - first, ended=False)
                    self._report()
                    beside = time.monotonic() - began - (self.state.seconds - before)
                    self.state = replace(self.state, beside=self.state.beside + max(0.0, beside))
                    continue
                self._halve_micro_batches()
                batches.close()
                batches = Prefetcher(self._steps())  # from where the state stands: the same samples again
        finally:
            batches.close()
        if not stopped:
            check_predictions(self._predicted, self.state.step - first, ended=True)
        if not stopped and self.eval_metrics.get("step") != self.state.step:
            self._evaluate()
        self._checkpoint()
        if not stopped:
            self._go_back_to_the_best()
        return Outcome(self.state, self.eval_metrics, stopped)

    def _go_back_to_the_best(self) -> None:
        """The model has the weights of the evaluation that was best, where those are kept."""
        best = self.state.best
        if best is None or best["step"] == self.state.step:
            return
        if has_stalled(self.plan, self.state):
            self.hooks.on_event(describe_early_stop(self.plan, self.state))
        try:
            load_checkpoint(checkpoint_path(self.folder, int(best["step"])), self.objective.model)
        except CheckpointError as e:
            why = f"The best weights are lost, so the last ones are the result: {e.message}"
            self.hooks.on_event(why, level="warn")
        else:
            self.eval_metrics = dict(best)

    def _restore(self) -> None:
        self.state, self.plan = resume(self.folder, self.objective.model, self.optimizer, self.plan, self.hooks)
        self.group.broadcast_weights(self.objective.model)
        self.group.sum(0)  # when all have read: a broadcast may be over for its sender before
        if self.group.is_main:  # what is newer is broken, or what an extension has gone back behind
            delete_later_checkpoints(self.folder, self.state.step)
        self._window_started = (self.state.seconds, self.state.tokens)

    def _steps(self) -> Iterator[list[Any]]:
        """This process's micro-batches of each optimiser step, from where the state stands."""
        plan, order = self.plan, iterate_samples(self.data, self.plan.seed, self.state.samples)
        while True:
            samples = [
                self.objective.mask(self.data[row], generator(plan.seed, Stream.MASK, epoch, row))
                for epoch, row in self.group.own_share([next(order) for _ in range(plan.samples_per_step)])
            ]
            micro = plan.samples_per_micro_batch
            yield [self.objective.collate_masked(samples[i : i + micro]) for i in range(0, len(samples), micro)]

    def _step(self, micro_batches: Sequence[Any]) -> bool:
        """One optimiser step; False, and nothing has changed, if there was not enough memory for it."""
        started = time.monotonic()
        self.objective.model.train()
        self._set_learning_rate()
        counts = [(b.counts.positions, b.counts.items, b.tokens) for b in micro_batches]
        positions, items, tokens = self.group.sum(*(sum(c[i] for c in counts) for i in range(3)))
        metrics = self._gradients(micro_batches, Counts(positions, items))
        if any(self.group.sum(metrics is None)) or metrics is None:
            self.optimizer.zero_grad(set_to_none=True)
            return False
        self._window += metrics
        self.group.sum_gradients(self.objective.model)
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

    def _gradients(self, micro_batches: Sequence[Any], whole: Counts) -> Metrics | None:
        """Adds up the gradients of all micro-batches, so that they are those of the step's whole batch.

        None if memory ran out.
        """
        # What a model draws of its own is the same again when the step is: resumed, or in smaller parts.
        torch.manual_seed(
            int(generator(self.plan.seed, Stream.FORWARD, self.state.step, self.group.rank).integers(2**62))
        )
        metrics = Metrics()
        try:
            for batch in micro_batches:
                with autocast(self.device, self.plan.precision):
                    loss, found = self.objective.forward(batch.to(self.device), whole)
                loss.backward()  # type: ignore[no-untyped-call]
                metrics += found
        except (RuntimeError, MemoryError) as e:
            if not is_out_of_memory(e):
                raise
            return None
        return metrics

    def _halve_micro_batches(self) -> None:
        free_memory(self.device)
        before = self.plan.samples_per_micro_batch
        if before == 1:
            raise OutOfMemory(
                f"memory ran out at step {self.state.step + 1} with one sample at a time; "
                "use a smaller model or shorter samples"
            )
        why = f"Memory ran out at step {self.state.step + 1} with {before} samples at a time"
        self.state, self.plan = shrink_micro_batches(self.state, self.plan, before // 2, why, self.hooks)

    def _set_learning_rate(self) -> None:
        self._decaying = self.plan.decays(self.state)
        factor = self.plan.learning_rate_factor(self.state)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor

    def _report(self) -> None:
        step, plan = self.state.step, self.plan
        self.hooks.on_progress(self.snapshot())
        if step % plan.log_interval == 0:
            self._log()
        if step % plan.eval_interval == 0:
            self._evaluate()
        if plan.decays(self.state) and not self._decaying:
            self.state = replace(self.state, before_decay=step)
        self._due = self._due or step % plan.checkpoint_interval == 0
        # The best weights, and those before the decay, are only to be had now; others may wait.
        if step in self._lasting() or (self._due and self.hooks.can_save()):
            self._checkpoint()

    def _lasting(self) -> tuple[int | None, ...]:
        """The steps whose checkpoints outlast the newer ones."""
        return self.state.before_decay, int(self.state.best["step"]) if self.state.best else None

    def snapshot(self) -> Snapshot:
        fraction = self.plan.fraction(self.state)
        seconds, tokens = (
            a - b for a, b in zip((self.state.seconds, self.state.tokens), self._window_started, strict=True)
        )
        # The whole run's mean pace predicts its end better than the last few steps'.
        pace = self.state.seconds + self.state.beside
        left = pace * (1 - fraction) / fraction + self._closing_seconds if fraction > 0 else None
        return Snapshot(
            step=self.state.step,
            total_steps=self.plan.total_steps or (round(self.state.step / fraction) if fraction else None),
            tokens=self.state.tokens,
            epoch=self.state.samples / len(self.data),
            fraction=fraction,
            tokens_per_second=(tokens / seconds) if seconds else 0.0,
            eta_seconds=left,
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
        began = time.monotonic()
        with autocast(self.device, self.plan.precision):
            result = evaluate(self.objective, self.held_out, self.plan, self.device, self.group)
            shown = illustrate(self.objective, self.held_out, self.device) if self.group.is_main else None
        self.eval_metrics = {f"eval_{k}": v for k, v in result.items()} | {"step": self.state.step}
        described = ", ".join(f"{k} {v:.4f}" for k, v in result.items())
        self.hooks.on_event(f"Step {self.state.step}: held-out {described}", self.eval_metrics, kind="metrics")
        if shown is not None:
            self.hooks.on_artifact(self.state.step, *shown)
        self.state = replace(self.state, best=pick_better(self.plan, self.state.best, self.eval_metrics))
        self._closing_seconds = time.monotonic() - began

    def _checkpoint(self) -> None:
        self._due = False
        newest = checkpoint_path(self.folder, self.state.step)
        if not self.group.is_main or self.state.step == 0 or (newest / "manifest.json").exists():
            return
        folder = save_checkpoint(
            self.folder,
            self.objective.model,
            self.optimizer,
            self.state,
            keep=self.plan.keep_checkpoints,
            keep_also=self._lasting(),
            fence=self.hooks.fence,
        )
        fresh = self.eval_metrics if self.eval_metrics.get("step") == self.state.step else {}
        self.hooks.on_checkpoint(self.state.step, folder, fresh)
