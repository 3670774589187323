"""The input of a training run, its form for the trainer, and its result."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.methods import TrainingHyperparameters
from app.modalities.served_model import AnyMaskedModel
from app.system.pool_process import ProcessLimits
from app.training.data.source_file import SourceFile
from app.training.hooks import Dataset, Probe
from app.training.loop.distributed import check_parent
from app.training.loop.trainer import Outcome
from app.types import Task


@dataclass(frozen=True)
class TrainingJob:
    """Everything that a run needs to know: what to train, on which data, where, and within which limits."""

    method: str  # a key of methods.METHODS
    model: str | Path  # a preset's name, or the folder of a stored model
    hyperparameters: TrainingHyperparameters
    training_files: tuple[SourceFile, ...]
    validation_files: tuple[SourceFile, ...]
    run_dir: Path  # this job's folder: checkpoints, a new tokenizer, the exported model
    cache_dir: Path  # shared by all jobs
    cache_bytes: int = 50 * 2**30  # maximum size of the cache
    disk_reserve: int = 0  # bytes of the disk that the job must leave free
    model_folders: Mapping[str, Path] = field(default_factory=dict)  # of the stored models that hyperparameters name
    device: str = "auto"
    threads: int = 1
    decoder_limits: ProcessLimits = field(default_factory=ProcessLimits)  # for each process that decodes media
    extended_from: int = 0  # the step at which the latest extension began
    memory_kills: int = 0  # earlier attempts that the kernel killed because memory ran out
    probes: Sequence[Probe] = ()  # measured at each evaluation
    bind: Callable[[int], None] = check_parent  # ties a further process to the life of this one; takes this one's id


@dataclass(frozen=True)
class PreparedRun:
    """A job whose model and data are ready. From here on the code does not depend on the modality."""

    objective: AnyMaskedModel
    training: Dataset
    held_out: Dataset
    samples_per_step: int
    from_scratch: bool
    new_head: bool


@dataclass(frozen=True)
class TrainingResult:
    """A finished or stopped run. If it was stopped, `folder` is not written."""

    folder: Path  # ready to be published
    modality: str
    architecture: str
    tasks: tuple[Task, ...]
    parameters: int
    forward_path: str | None  # how batches of the model are run
    metrics: dict[str, float]
    outcome: Outcome
