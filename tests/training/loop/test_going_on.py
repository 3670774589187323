"""Runs that end before their limit, go on beyond it, or are published from one of their checkpoints."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from app.errors import InvalidValue
from app.modalities.text.load import load_text
from app.training.job import TrainingJob
from app.training.loop.checkpoint import load_checkpoint
from app.training.run import run
from tests.fakes.runs import Recorder, same, weights

Job = Callable[..., TrainingJob]
# No later evaluation is better by so much, so the first stays the best.
HOPELESS = {
    "max_steps": 30,
    "eval_interval": 3,
    "early_stopping_patience": 2,
    "early_stopping_min_delta": 5.0,
    "keep_checkpoints": 1,
}


def test_a_run_that_gets_no_better_ends_with_its_best_weights(job: Job) -> None:
    hooks = Recorder()
    result = run(job("early", **HOPELESS), hooks)
    assert result.outcome.state.step == 9
    assert result.metrics["step"] == 3
    assert result.metrics["eval_loss"] == hooks.series("eval_loss")[1]
    assert any("Stopped early at step 9" in message for message, _ in hooks.events)
    assert sorted(p.name[-2:] for p in (job("early").run_dir / "checkpoints").glob("step-*")) == ["03", "09"]
    best = load_file(job("early").run_dir / "checkpoints" / "step-000000003" / "model.safetensors")
    assert all((best[key] == value).all() for key, value in weights(result).items())


@pytest.mark.parametrize("die_at", [2, 4, 9])
def test_killed_and_resumed_it_stops_where_it_would_have(job: Job, die_at: int) -> None:
    undisturbed = run(job("a", **HOPELESS), Recorder())
    with pytest.raises(KeyboardInterrupt):
        run(job("b", **HOPELESS), Recorder(die_at=die_at))
    again = run(job("b", **HOPELESS), Recorder())
    assert (again.outcome.state.step, again.metrics) == (9, undisturbed.metrics)
    assert same(again, undisturbed)


def test_a_checkpoint_that_cannot_be_written_when_it_is_due_is_written_later(job: Job) -> None:
    hooks = Recorder(away={2, 3, 4, 6})
    result = run(job(max_steps=8, checkpoint_interval=2, eval_interval=8), hooks)
    assert hooks.checkpoints == [5, 7, 8]
    assert same(result, run(job("calm", max_steps=8, checkpoint_interval=2, eval_interval=8), Recorder()))


def test_without_early_stopping_the_last_weights_are_the_result(job: Job) -> None:
    result = run(job(max_steps=6, eval_interval=3), Recorder())
    assert (result.outcome.state.best, result.metrics["step"]) == (None, 6)


def test_an_extended_run_goes_on_from_its_last_checkpoint(job: Job) -> None:
    """A constant rate makes the longer run, from its start, the same run."""
    plateau = {"schedule": "warmup-stable-decay", "warmup_ratio": 0.0, "decay_ratio": 1e-9, "eval_interval": 5}
    run(job("a", max_steps=5, **plateau), Recorder())
    hooks = Recorder()
    longer = run(replace(job("a", max_steps=10, **plateau), extended_from=5), hooks)
    assert any(message == "Resumed from step 5" for message, _ in hooks.events)
    assert longer.outcome.state.step == 10
    assert same(longer, run(job("b", max_steps=10, **plateau), Recorder()))


DECAYING = {
    "schedule": "warmup-stable-decay",
    "warmup_ratio": 0.0,
    "decay_ratio": 0.4,
    "eval_interval": 5,
    "keep_checkpoints": 1,
}


def steps_kept(job: TrainingJob) -> list[int]:
    return sorted(int(p.name[-9:]) for p in (job.run_dir / "checkpoints").glob("step-*"))


@pytest.mark.parametrize("die_at", [None, 7, 12, 17])
def test_an_extension_goes_on_from_before_the_decay(job: Job, die_at: int | None) -> None:
    """The longer run is the one that there would have been, wherever it's killed meanwhile."""
    run(job("a", max_steps=10, **DECAYING), Recorder())
    assert steps_kept(job("a")) == [6, 10]
    hooks, longer = Recorder(), replace(job("a", max_steps=20, **DECAYING), extended_from=10)
    if die_at:
        with pytest.raises(KeyboardInterrupt):
            run(longer, Recorder(die_at=die_at))
    extended = run(longer, hooks)
    if die_at is None:
        said = [message for message, _ in hooks.events]
        assert "The extension starts from step 6, before the decay of the learning rate" in said
        assert hooks.checkpoints == [10, 12, 15, 20]
    assert steps_kept(longer) == [12, 20]
    assert same(extended, run(job("b", max_steps=20, **DECAYING), Recorder()))


def test_without_that_checkpoint_it_goes_on_from_the_end_and_says_so(job: Job) -> None:
    run(job("a", max_steps=10, **DECAYING), Recorder())
    shutil.rmtree(job("a").run_dir / "checkpoints" / "step-000000006")
    hooks = Recorder()
    run(replace(job("a", max_steps=20, **DECAYING), extended_from=10), hooks)
    assert any("starts from the decayed weights of step 10" in message for message, _ in hooks.events)
    assert hooks.checkpoints == [12, 15, 20]


def test_an_extension_forgets_a_best_evaluation_that_is_not_kept(job: Job) -> None:
    steady = {"validation_fraction": 0.2, "batch_tokens": 512, "learning_rate": 2e-3}  # each evaluation is better
    options = DECAYING | steady | {"eval_interval": 2, "early_stopping_patience": 9}
    first = run(job("a", max_steps=10, **options), Recorder())
    assert first.outcome.state.best and first.outcome.state.best["step"] > 6
    extended = run(replace(job("a", max_steps=20, **options), extended_from=10), Recorder())
    assert extended.outcome.state.best


@pytest.mark.parametrize("schedule", ["cosine", "warmup-stable-decay"])
def test_an_extension_by_less_time_than_was_trained_is_refused(job: Job, schedule: str) -> None:
    options = DECAYING | {"schedule": schedule}
    ended = run(job("a", max_steps=10, **options), Recorder()).outcome.state
    kept = steps_kept(job("a"))
    less = replace(job("a", max_minutes=1e-6, **options), extended_from=ended.step)
    with pytest.raises(InvalidValue, match="was reached after") as error:
        run(less, Recorder())
    assert (error.value.param, steps_kept(less)) == ("max_minutes", kept)


def damage(folder: TrainingJob, step: int) -> None:
    (folder.run_dir / "checkpoints" / f"step-{step:09d}" / "model.safetensors").write_bytes(b"")


def test_damaged_checkpoints_make_way_for_new_ones(job: Job) -> None:
    options = {"checkpoint_interval": 3, "keep_checkpoints": 1}
    run(job("a", max_steps=6, **options), Recorder())
    damage(job("a"), 6)
    with pytest.raises(KeyboardInterrupt):
        run(job("a", max_steps=6, **options), Recorder(die_at=4))
    assert steps_kept(job("a")) == [3]
    hooks = Recorder()
    again = run(job("a", max_steps=6, **options), hooks)
    assert hooks.checkpoints == [6] and steps_kept(job("a")) == [6]
    folder = job("a").run_dir / "checkpoints" / "step-000000006"
    assert load_checkpoint(folder, load_text(again.folder).model).step == 6


def test_where_the_best_weights_are_lost_the_last_ones_are_the_result(job: Job) -> None:
    class Hooks(Recorder):
        def on_progress(self, progress: Any) -> None:
            super().on_progress(progress)
            if self.step == 8:
                damage(job("a"), 3)

    hooks = Hooks()
    result = run(job("a", **HOPELESS), hooks)
    assert result.metrics["step"] == result.outcome.state.step == 9
    assert any("The best weights are lost" in message for message, _ in hooks.events)


def test_an_extension_has_new_patience(job: Job) -> None:
    run(job("a", **HOPELESS), Recorder())
    longer = run(replace(job("a", **HOPELESS), extended_from=9), Recorder())
    assert (longer.outcome.state.step, longer.metrics["step"]) == (15, 3)


@pytest.mark.parametrize("model", ["bert-tiny", "modernbert-tiny"])
def test_skeleton_and_checkpoint_are_a_model(job: Job, model: str, tmp_path: Path) -> None:
    result = run(job("a", model, max_steps=3), Recorder())
    folder = job("a").run_dir
    assert not list((folder / "skeleton").rglob("*.safetensors"))
    shutil.copytree(folder / "skeleton", tmp_path / "put-together")
    shutil.copy(folder / "checkpoints" / "step-000000003" / "model.safetensors", tmp_path / "put-together")
    ours, theirs = (load_text(path).model.state_dict() for path in (tmp_path / "put-together", result.folder))
    assert ours.keys() == theirs.keys()
    assert all((ours[key] == theirs[key]).all() for key in ours)


def test_a_run_that_was_stopped_is_not_exported(job: Job) -> None:
    result = run(job(max_steps=9), Recorder(stop_at=4))
    assert result.outcome.stopped and not result.folder.exists()


def test_the_end_is_foreseen_with_what_steps_do_not_count(job: Job) -> None:
    left: list[float] = []

    class Hooks(Recorder):
        def on_progress(self, progress: object) -> None:
            super().on_progress(progress)
            left.append(progress.eta_seconds)  # type: ignore[attr-defined]

    result = run(job(max_steps=10, eval_interval=2, max_eval_samples=64), Hooks())
    state = result.outcome.state
    assert state.beside > 0
    assert left[-1] >= 0
    assert left[4] >= state.seconds * 0.2  # half of it is left, and more than steps
