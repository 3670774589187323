"""What every run on media does to make its data ready, whatever the modality."""

from collections.abc import Sequence

from app.objectives.patch.objective import PatchObjective
from app.recipes import PatchHyperparameters
from app.training.cache import collect, make_room
from app.training.checkpoint import disk_bytes
from app.training.hooks import Dataset, Hooks
from app.training.job import SourceFile, TrainingJob
from app.training.media_shards import (
    Decoding,
    Items,
    MediaShard,
    check_reports,
    decode_file,
    split_items,
)
from app.training.mixture import Mixture


def datasets(
    job: TrainingJob, hp: PatchHyperparameters, decoding: Decoding, objective: PatchObjective, hooks: Hooks
) -> tuple[Dataset, Items]:
    """(training, held out), decoded once and read from the disk. Raises InvalidData and TooLarge."""
    make_room(job.cache_dir, job.cache_bytes, 0, disk_bytes(objective.parameter_count(), hp.most_checkpoints))
    shards = _decode(job, hp, job.training_files, decoding, hooks)
    held_out = _decode(job, hp, job.validation_files, decoding, hooks) if job.validation_files else []
    collect(job.cache_dir, job.cache_bytes)  # how much came out of the files is known only now
    patches = objective.space.grid.count
    parts, held = split_items(shards, held_out, hp.validation_fraction, hp.seed, patches)
    return Mixture(parts, [file.weight for file in job.training_files]), held


def _decode(
    job: TrainingJob, hp: PatchHyperparameters, files: Sequence[SourceFile], decoding: Decoding, hooks: Hooks
) -> list[MediaShard]:
    shards = []
    for file in files:
        shard = decode_file(file, decoding, job.cache_dir, job.threads)
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
