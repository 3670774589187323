"""What a trainer leaves in a job's folder, without a trainer."""

import hashlib
import json
from pathlib import Path

from app.jobs.worker_queue import Claim
from app.types import Task
from tests.fakes.jobs import JobSystem


def write_skeleton(folder: Path) -> None:
    """As `app.training.skeleton` does; folder: the job's."""
    skeleton = folder / "skeleton"
    skeleton.mkdir(parents=True, exist_ok=True)
    (skeleton / "config.json").write_text("{}")
    made = {"modality": "text", "architecture": "bert", "tasks": [Task.FILL_MASK, Task.EMBED], "parameters": 1234}
    (skeleton / "manifest.json").write_text(json.dumps(made))


def write_checkpoint(folder: Path, step: int, weights: bytes | None = None) -> Path:
    checkpoint = folder / "checkpoints" / f"step-{step:09d}"
    checkpoint.mkdir(parents=True, exist_ok=True)
    weights = weights or f"weights of step {step}".encode()
    (checkpoint / "model.safetensors").write_bytes(weights)
    (checkpoint / "state.json").write_text(json.dumps({"step": step, "tokens": step * 100}))
    (checkpoint / "manifest.json").write_text(json.dumps({"model.safetensors": hashlib.sha256(weights).hexdigest()}))
    return checkpoint


def leave_checkpoint(jobs: JobSystem, claim: Claim, jobs_dir: Path, step: int) -> str:
    """Also on the job's record; returns the checkpoint's id."""
    folder = jobs_dir / claim.job_id
    write_skeleton(folder)
    path = write_checkpoint(folder, step).relative_to(folder).as_posix()
    jobs.queue.add_checkpoint(claim, step, path, {"eval_loss": 1 / step})
    return jobs.checkpoints(claim.job_id, limit=1)[0][0].id
