"""The input of a run, its form for the trainer, and its result."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from app.methods import TrainingHyperparameters
from app.modalities.base import Objective
from app.system.pool_process import ProcessLimits
from app.training.loop.distributed import check_parent
from app.training.loop.trainer import Dataset, Outcome
from app.types import Modality, Task


@dataclass(frozen=True)
class SourceFile:
    path: Path
    filename: str  # carries the format
    sha256: str | None = None  # of the content, where it is known already
    weight: float = 1.0  # how often an epoch sees each of its samples

    def digest(self) -> str:
        if self.sha256:
            return self.sha256
        with self.path.open("rb") as f:
            return hashlib.file_digest(f, "sha256").hexdigest()


@dataclass(frozen=True)
class TrainingJob:
    method: str  # a key of methods.METHODS
    model: str | Path  # a preset's name, or the folder of a stored model
    hyperparameters: TrainingHyperparameters
    training_files: tuple[SourceFile, ...]
    validation_files: tuple[SourceFile, ...]
    run_dir: Path  # the job's own: checkpoints, a new tokenizer, the export
    cache_dir: Path  # shared by all jobs
    cache_bytes: int = 50 * 2**30  # that the cache may hold
    disk_reserve: int = 0  # bytes of the disk that the job leaves free
    model_folders: Mapping[str, Path] = field(default_factory=dict)  # of the models that hyperparameters name
    device: str = "auto"
    threads: int = 1
    decoder_limits: ProcessLimits = field(default_factory=ProcessLimits)  # of each process that decodes media
    extended_from: int = 0  # the step at which the latest extension began
    memory_kills: int = 0  # earlier attempts that the kernel has killed because memory ran out
    bind: Callable[[int], None] = check_parent  # makes a further process end with this one, whose id it is given


@dataclass(frozen=True)
class Material:
    """A job made ready for the trainer; from here on nothing asks for its modality."""

    objective: Objective
    training: Dataset
    held_out: Dataset
    samples_per_step: int
    from_scratch: bool
    new_head: bool


@dataclass(frozen=True)
class TrainingResult:
    folder: Path  # ready to be published
    modality: Modality
    architecture: str
    tasks: tuple[Task, ...]
    parameters: int
    metrics: dict[str, float]
    outcome: Outcome
