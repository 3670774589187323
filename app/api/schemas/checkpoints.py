"""Checkpoints of a job, as OpenAI's."""

from typing import Literal

from pydantic import BaseModel, Field

from app.jobs.spec import Checkpoint


class CheckpointObject(BaseModel):
    id: str
    object: Literal["fine_tuning.job.checkpoint"] = "fine_tuning.job.checkpoint"
    created_at: int
    fine_tuning_job_id: str
    fine_tuned_model_checkpoint: str = Field(description="Folder of the checkpoint, relative to the folder of the jobs")
    step_number: int
    metrics: dict[str, float] = Field(description="Metrics at the step, under Cloze's names and OpenAI's")


class CheckpointList(BaseModel):
    object: Literal["list"] = "list"
    data: list[CheckpointObject]
    has_more: bool


def checkpoint_object(job_id: str, checkpoint: Checkpoint) -> CheckpointObject:
    return CheckpointObject(
        id=checkpoint.id,
        created_at=int(checkpoint.created_at),
        fine_tuning_job_id=job_id,
        fine_tuned_model_checkpoint=f"{job_id}/{checkpoint.path}",
        step_number=checkpoint.step,
        metrics={"step": float(checkpoint.step), **_with_openai_names(checkpoint.metrics)},
    )


_OPENAI_METRICS = {
    "train_accuracy": "train_mean_token_accuracy",
    "eval_loss": "valid_loss",
    "eval_accuracy": "valid_mean_token_accuracy",
}


def _with_openai_names(metrics: dict[str, float]) -> dict[str, float]:
    """The metrics, and again under OpenAI's names, where there are such."""
    return {**metrics, **{theirs: metrics[ours] for ours, theirs in _OPENAI_METRICS.items() if ours in metrics}}
