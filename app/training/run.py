"""A pretraining run, from files to a folder that can be published."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from functools import partial
from typing import cast

import torch
from transformers import PreTrainedModel

from app.devices import keep_memory, resolve_device, resolve_dtype
from app.errors import InvalidValue
from app.training.chosen import describe_choices
from app.training.hooks import Hooks
from app.training.job import PreparedRun, TrainingJob, TrainingResult
from app.training.loop.distributed import ProcessGroup, SilentHooks, launch_group
from app.training.loop.evaluator import name_probe
from app.training.loop.plan import Plan, make_plan
from app.training.loop.range_test import RangeTest, find_learning_rate
from app.training.loop.trainer import Outcome, Trainer
from app.training.loop.verdict import Limit, RunFacts, judge
from app.training.prepare import prepare
from app.training.skeleton import write_skeleton


def run(job: TrainingJob, hooks: Hooks) -> TrainingResult:
    """Trains a job's model, and resumes from the newest checkpoint in `job.run_dir`. Call it from the main thread.

    Raises:
        AppError: The user can fix the cause: data, model, hyperparameters, divergence, memory.
        Stopped: The run was told to stop while it prepared its data.
    """
    with launch_group(
        job.hyperparameters.processes, job.run_dir, partial(_run_peer, replace(job, probes=())), job.bind
    ) as group:
        return run_in_group(job, hooks, group)


def _run_peer(job: TrainingJob, group: ProcessGroup) -> None:
    run_in_group(job, SilentHooks(), group)


def run_in_group(job: TrainingJob, hooks: Hooks, group: ProcessGroup) -> TrainingResult:
    """Runs a job as one process of a group. `hooks` are those of rank 0, and SilentHooks in the others."""
    keep_memory()
    torch.set_num_threads(max(1, job.threads // group.local_size))
    torch.manual_seed(job.hyperparameters.seed)
    device = _device(job.device, group)
    with group.run_main_first():
        prepared = prepare(job, hooks, device)
    objective, training, held_out = prepared.objective, prepared.training, prepared.held_out
    model = cast(PreTrainedModel, objective.model)  # the models of all modalities are
    objective.to(device, torch.float32)
    precision = resolve_dtype(job.hyperparameters.precision, device)
    if device.type == "cpu" and precision != torch.float32:
        use_eager_attention(model)
    plan = _plan(job, prepared, precision)
    plan, tested = _test_learning_rates(job, prepared, plan, hooks, group)
    chosen = describe_choices(plan, prepared) | _start_probes(job, prepared)
    message = "Trains with " + ", ".join(f"{name} {value}" for name, value in chosen.items())
    hooks.on_chosen(chosen | ({"learning_rate_test": asdict(tested)} if tested else {}), message)
    architecture = str(model.config.model_type)
    if group.is_main:
        write_skeleton(job.run_dir / "skeleton", objective, architecture)
    hooks.on_event(
        f"Training {objective.parameter_count():,} parameters on {training.tokens:,} tokens in"
        f" {len(training):,} samples ({len(held_out):,} held out), {plan.samples_per_step} samples a step"
    )
    with compile_encoder(model) if job.hyperparameters.compile else nullcontext():
        folder = job.run_dir / "checkpoints"
        outcome = Trainer(objective, training, held_out, plan, hooks, folder, group, job.probes).run()
    if group.is_main and not outcome.stopped:
        hooks.on_verdict(asdict(judge(outcome.state.curve, _facts(outcome, plan, prepared))))
    folder = job.run_dir / "export"
    if group.is_main and not outcome.stopped:
        objective.save(folder, resolve_dtype(job.hyperparameters.export_dtype, device))
    return TrainingResult(
        folder=folder,
        modality=objective.modality,
        architecture=architecture,
        tasks=tuple(objective.tasks),
        parameters=objective.parameter_count(),
        forward_path=objective.forward_path,
        metrics=outcome.metrics,
        outcome=outcome,
    )


def _start_probes(job: TrainingJob, prepared: PreparedRun) -> dict[str, str]:
    """Returns the descriptions of the probes, by the names of their metrics."""
    prepared.objective.model.eval()
    return {f"eval_{name_probe(place)}": each.start(prepared.objective) for place, each in enumerate(job.probes)}


def _plan(job: TrainingJob, prepared: PreparedRun, precision: torch.dtype) -> Plan:
    config = cast(PreTrainedModel, prepared.objective.model).config.to_dict()
    plan = make_plan(
        job.hyperparameters,
        samples=len(prepared.training),
        tokens=prepared.training.tokens,
        samples_per_step=prepared.samples_per_step,
        from_scratch=prepared.from_scratch,
        new_head=prepared.new_head,
        precision=precision,
        scratch_rate=job.hyperparameters.scratch_learning_rate(config),
        extended_from=job.extended_from,
    )
    return replace(plan, memory_kills=job.memory_kills)


def _test_learning_rates(
    job: TrainingJob, prepared: PreparedRun, plan: Plan, hooks: Hooks, group: ProcessGroup
) -> tuple[Plan, RangeTest | None]:
    """Returns the plan with the learning rate that a test has found, if the job asks for one, and the test."""
    if not job.hyperparameters.find_lr:
        return plan, None
    found = find_learning_rate(prepared.objective, prepared.training, plan, hooks, job.run_dir, group)
    factor = found.suggested / plan.learning_rate
    scaled = replace(plan, learning_rate=found.suggested, head_learning_rate=plan.head_learning_rate * factor)
    return scaled, found


def _facts(outcome: Outcome, plan: Plan, prepared: PreparedRun) -> RunFacts:
    state = outcome.state
    if not plan.is_finished(state):
        limit: Limit = "early_stopping"
    else:
        limit = "steps" if plan.total_steps is not None and state.step >= plan.total_steps else "time"
    return RunFacts(
        measure=prepared.objective.measure,
        lower_is_better=prepared.objective.lower_is_better,
        published_step=int(outcome.metrics["step"]),
        steps=state.step,
        epochs=state.samples / len(prepared.training),
        minutes=state.seconds / 60,
        limit=limit,
        compares_with_start=prepared.objective.compares_with_start,
    )


def _device(name: str, group: ProcessGroup) -> torch.device:
    """Returns this process's device. Each process of a group has its own GPU, beginning with the named one."""
    device = resolve_device(name)
    if device.type == "cpu" or group.size == 1:
        return device
    first, count = device.index or 0, torch.cuda.device_count()
    if first + group.local_size > count:
        raise InvalidValue(
            f"{group.local_size} processes need a GPU each, and there are {count - first}", param="processes"
        )
    torch.cuda.set_device(first + group.local_rank)
    return torch.device("cuda", first + group.local_rank)


def use_eager_attention(model: PreTrainedModel) -> None:
    """Sets eager attention in all parts of a model.

    On the CPU the backward pass of sdpa is slow in bfloat16: a step of mae-tiny takes 2.2 times as long with it. In
    float32 sdpa is faster, by an eighth of a step of media and hardly at all for text.
    """
    # `set_attn_implementation` skips parts with their own copy of the configuration, such as ViTMAE's decoder.
    for module in model.modules():
        config = getattr(module, "config", None)
        if config is not None:
            config._attn_implementation = "eager"


@contextmanager
def compile_encoder(model: PreTrainedModel) -> Iterator[None]:
    """Runs the model's encoder compiled within the context. The head is not: its number of rows changes every step."""
    compilers = (os.environ.get("CXX", "g++"), "g++", "clang++")
    if model.device.type == "cpu" and not any(shutil.which(compiler) for compiler in compilers):
        raise InvalidValue("compiling for the CPU needs a C++ compiler on the worker's machine", param="compile")
    encoder = model.base_model
    encoder.__dict__["forward"] = torch.compile(encoder.forward)  # shadows the method of the class
    try:
        yield
    finally:
        del encoder.__dict__["forward"]
