"""Preparation of data that all runs on media share."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from app.errors import InvalidValue
from app.methods import METHODS, PatchHyperparameters, preset
from app.methods.image import configured
from app.methods.patches import settings_of
from app.modalities.patch.objective import PatchObjective
from app.system.process_pool import ProcessPool
from app.training.data.cache import evict, make_room
from app.training.data.media_decoding import Decoding
from app.training.data.media_shards import (
    MediaItems,
    MediaShard,
    check_reports,
    decode_file,
    split_items,
)
from app.training.data.mixture import Mixture
from app.training.data.preparation import PreparationProgress
from app.training.data.source_file import SourceFile
from app.training.hooks import Dataset, Hooks
from app.training.job import PreparedRun, TrainingJob
from app.training.loop.checkpoint import disk_bytes

P = TypeVar("P", bound=PatchObjective)


def load_stored(job: TrainingJob, folder: Path, hp: PatchHyperparameters, load: Callable[..., P]) -> P:
    """The stored model that a job goes on with. Raises InvalidValue where it is not of the job's method."""
    for name in ("decoder_layers", "decoder_hidden_size"):
        if getattr(hp, name, None):
            raise InvalidValue("a stored model's decoder keeps its size", param=name)
    objective = load(folder, new_head=True, settings=settings_of(hp))
    known = METHODS[job.method].architectures
    if objective.model.config.model_type not in known:
        raise InvalidValue(f"the method {job.method} trains {', '.join(known)}", param="model")
    return objective


def configure_preset(name: str, hp: PatchHyperparameters) -> dict[str, Any]:
    """A preset's, with the hyperparameters that are the same in all methods of patches."""
    return configured(preset(name) or {}, hp)


def build_run(
    job: TrainingJob,
    hp: PatchHyperparameters,
    objective: PatchObjective,
    data: tuple[Dataset, MediaItems],
) -> PreparedRun:
    """Builds the input of the trainer."""
    return PreparedRun(
        objective=objective,
        training=data[0],
        held_out=data[1],
        samples_per_step=hp.batch_size,
        from_scratch=not isinstance(job.model, Path),
        new_head=objective.new_head,
    )


def make_datasets(
    job: TrainingJob,
    hp: PatchHyperparameters,
    decoding: Decoding,
    objective: PatchObjective,
    hooks: Hooks,
    *,
    window: int | None = None,
) -> tuple[Dataset, MediaItems]:
    """Decodes the job's files, and returns (training, held out). Raises InvalidData and TooLarge.

    window: rows of a sample. A longer item is cut into several samples.
    """
    checkpoints = disk_bytes(objective.parameter_count(), hp.most_checkpoints)
    make_room(job.cache_dir, job.cache_bytes, 0, checkpoints, reserve=job.disk_reserve)
    with ProcessPool(job.threads, job.decoder_limits) as decoders:
        shards = _decode(job, hp, job.training_files, decoding, decoders, hooks)
        held_out = _decode(job, hp, job.validation_files, decoding, decoders, hooks) if job.validation_files else []
    evict(job.cache_dir, job.cache_bytes)  # the size of the decoded files is known only now
    patches = objective.space.grid.count
    parts, held = split_items(shards, held_out, hp.validation_fraction, hp.seed, patches, window)
    return Mixture(parts, [file.weight for file in job.training_files]), held


def _decode(
    job: TrainingJob,
    hp: PatchHyperparameters,
    files: Sequence[SourceFile],
    decoding: Decoding,
    decoders: ProcessPool,
    hooks: Hooks,
) -> list[MediaShard]:
    shards = []
    for file in files:
        listen = PreparationProgress(hooks, file.filename, file.path.stat().st_size)
        shard = decode_file(file, decoding, job.cache_dir, decoders, listen.check)
        left_out = shard.report.summary()
        hooks.on_event(
            f"{file.filename}: {len(shard):,} {decoding.modality} files"
            + (f"; left out: {left_out}" if left_out else ""),
            {
                "usable": shard.report.usable,
                "skipped": {str(reason): entry.count for reason, entry in shard.report.skipped.items()},
            },
            level="warn" if left_out else "info",
        )
        shards.append(shard)
    check_reports(shards, f"{decoding.modality} files", hp.max_broken_share)
    return shards
