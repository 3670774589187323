"""The preparation of data that all runs on media share."""

from collections.abc import Callable, Sequence
from pathlib import Path

from app.methods import MediaHyperparameters
from app.modalities.patch.decoding import Decoding
from app.modalities.served_model import AnyMaskedModel
from app.system.process_pool import ProcessPool
from app.training.data.cache import evict, make_room
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


def build_run(
    job: TrainingJob,
    hp: MediaHyperparameters,
    objective: AnyMaskedModel,
    data: tuple[Dataset, MediaItems],
    *,
    new_head: bool,
) -> PreparedRun:
    """Builds the input of the trainer."""
    return PreparedRun(
        objective=objective,
        training=data[0],
        held_out=data[1],
        samples_per_step=hp.batch_size,
        from_scratch=not isinstance(job.model, Path),
        new_head=new_head,
    )


def make_datasets(
    job: TrainingJob,
    hp: MediaHyperparameters,
    decoding: Decoding,
    parameters: int,
    hooks: Hooks,
    *,
    tokens: Callable[[int], int],
    window: int | None = None,
) -> tuple[Dataset, MediaItems]:
    """Decodes the job's files, and returns (training, held out). Raises InvalidData and TooLarge.

    parameters: of the model, for the disk that its checkpoints need.
    tokens: returns the tokens of a sample of so many rows.
    window: rows of a sample. A longer item is cut into several samples.
    """
    checkpoints = disk_bytes(parameters, hp.most_checkpoints)
    make_room(job.cache_dir, job.cache_bytes, 0, checkpoints, reserve=job.disk_reserve)
    with ProcessPool(job.threads, job.decoder_limits) as decoders:
        shards = _decode(job, hp, job.training_files, decoding, decoders, hooks)
        held_out = _decode(job, hp, job.validation_files, decoding, decoders, hooks) if job.validation_files else []
    evict(job.cache_dir, job.cache_bytes)  # the size of the decoded files is known only now
    parts, held = split_items(shards, held_out, hp.validation_fraction, hp.seed, tokens, window)
    return Mixture(parts, [file.weight for file in job.training_files]), held


def _decode(
    job: TrainingJob,
    hp: MediaHyperparameters,
    files: Sequence[SourceFile],
    decoding: Decoding,
    decoders: ProcessPool,
    hooks: Hooks,
) -> list[MediaShard]:
    """Returns the shard of each file, and reports it in an event."""
    shards = []
    for file in files:
        listen = PreparationProgress(hooks, file.filename, file.path.stat().st_size)
        shard = decode_file(file, decoding, job.cache_dir, decoders, listen.check)
        left_out = shard.report.summary()
        hooks.on_event(
            f"{file.filename}: {len(shard):,} {decoding.files.name} files"
            + (f"; left out: {left_out}" if left_out else ""),
            {
                "usable": shard.report.usable,
                "skipped": {str(reason): entry.count for reason, entry in shard.report.skipped.items()},
            },
            level="warn" if left_out else "info",
        )
        shards.append(shard)
    check_reports(shards, f"{decoding.files.name} files", hp.max_broken_share)
    return shards
