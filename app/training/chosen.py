"""The choices of a run, once every default is resolved: shown with the job and on the model's card."""

from typing import Any

from app.training.job import PreparedRun
from app.training.loop.plan import EVALUATIONS, Plan


def describe_choices(plan: Plan, prepared: PreparedRun) -> dict[str, Any]:
    """Returns the choices of plan and modality, by the names of hyperparameters where there are any."""
    found: dict[str, Any] = {
        "steps": plan.total_steps,
        "learning_rate": plan.learning_rate,
        "head_learning_rate": None if plan.head_learning_rate == plan.learning_rate else plan.head_learning_rate,
        "schedule": plan.schedule,
        "warmup_steps": None
        if plan.max_seconds or not plan.total_steps
        else round(plan.warmup_ratio * plan.total_steps),
        "warmup_ratio": plan.warmup_ratio,
        "batch_samples": plan.samples_per_step,
        "weight_decay": plan.weight_decay,
        "precision": str(plan.precision).removeprefix("torch."),
        "eval_interval": plan.eval_interval or f"1/{EVALUATIONS} of the run",
        **prepared.objective.describe_choices(),
        "parameters": prepared.objective.parameter_count(),
        "training_samples": len(prepared.training),
        "training_tokens": prepared.training.tokens,
        "held_out_samples": len(prepared.held_out),
    }
    return {name: value for name, value in found.items() if value is not None}
