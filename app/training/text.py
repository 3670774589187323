"""The preparation of masked language modelling: model, tokenizer and rows."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from app.datasets.documents import read_documents
from app.errors import InvalidData, InvalidModel, InvalidValue
from app.methods import MlmHyperparameters, preset
from app.modalities.text import TEXT
from app.modalities.text.builder import build_preset, start_at_frequencies
from app.modalities.text.encoder import vocabulary_size
from app.modalities.text.load import load_text, load_tokenizer
from app.modalities.text.new_tokenizers.kinds import train_tokenizer
from app.modalities.text.new_tokenizers.round_trip import report_losses, resolve_kind, sample_texts
from app.modalities.text.objective import TextObjective
from app.modalities.text.unknown import WARNED_SHARE, advise
from app.training.data.cache import make_room
from app.training.data.filters import choose_documents
from app.training.data.mixture import Mixture
from app.training.data.preparation import PreparationProgress
from app.training.data.rows import Ints, PackedRows, all_documents, pack, split_documents
from app.training.data.shards import Shard, estimate_missing_bytes, read_column, tokenize_file
from app.training.data.source_file import SourceFile
from app.training.data.unknown import combine_unknown, measure_unknown
from app.training.hooks import Dataset, Hooks
from app.training.job import PreparedRun, TrainingJob
from app.training.loop.checkpoint import disk_bytes

TOKENIZER_CHARS = 50_000_000  # characters a new tokenizer is trained on; more text hardly changes its vocabulary
SCRATCH_RATE, CONTINUE_RATE = 0.3, 0.15  # default masking rates of presets and stored models


def prepare(job: TrainingJob, hooks: Hooks, device: torch.device) -> PreparedRun:
    """Prepares model and data. Raises AppErrors for what the user can fix: data, model, hyperparameters."""
    hp = job.hyperparameters
    assert isinstance(hp, MlmHyperparameters)
    scratch = not isinstance(job.model, Path)
    objective = _objective(job, hp, hooks)
    teacher = _teacher(job.model_folders[hp.teacher], hp, objective) if hp.teacher else None
    _make_room(job, hp, objective)
    shards = _tokenize(job, job.training_files, "training_file", objective, hooks)
    training, held_out = _rows(job, hp, shards, objective, hooks)
    if objective.new_head:
        # The model's vocabulary may be larger than its tokenizer's.
        start_at_frequencies(objective.model, _token_counts(shards, vocabulary_size(objective.model)))
    if teacher is not None:
        teacher.to(device, torch.float32)
    objective.start_training(hp, hp.masking_rate or (SCRATCH_RATE if scratch else CONTINUE_RATE), teacher)
    return PreparedRun(
        objective=objective,
        training=training,
        held_out=held_out,
        samples_per_step=hp.batch_tokens // hp.sequence_length,
        from_scratch=scratch,
        new_head=objective.new_head,
    )


def _objective(job: TrainingJob, hp: MlmHyperparameters, hooks: Hooks) -> TextObjective:
    if isinstance(job.model, Path):
        objective = load_text(job.model, new_head=True)
        if objective.mask_token is None:
            raise InvalidModel("the model's tokenizer has no mask token", param="model")
        if hp.sequence_length > objective.max_length:
            raise InvalidValue(
                f"sequence_length is {hp.sequence_length}, but the model reads at most {objective.max_length} tokens",
                param="sequence_length",
            )
        return objective
    config = preset(job.model)
    if config is None:
        raise InvalidValue(f"{job.model!r} is not a preset", param="model")
    if hp.tokenizer_model:
        folder = job.model_folders[hp.tokenizer_model]  # another model's folder, in which nothing may be written
    else:
        folder = job.run_dir / "tokenizer"
        if not (folder / "tokenizer.json").exists():
            _save_whole(_train_tokenizer(job, hp, hooks), folder)
    tokenizer = load_tokenizer(folder)
    if tokenizer.mask_token is None:
        raise InvalidModel(f"the tokenizer of {hp.tokenizer_model} has no mask token", param="tokenizer_model")
    model = build_preset(config, tokenizer, hp.sequence_length)
    return TextObjective(model, tokenizer, has_head=True, new_head=True)


def _train_tokenizer(job: TrainingJob, hp: MlmHyperparameters, hooks: Hooks) -> PreTrainedTokenizerBase:
    """Chooses the kind on the same sample as the job's estimate, trains the tokenizer, and reports what it loses."""
    check = TEXT.check(hp)
    texts = sample_texts([check(file.path, file.filename) for file in job.training_files])
    options, reason = resolve_kind(hp, texts)
    hooks.on_event(
        f"Training a {options.tokenizer} tokenizer of up to {hp.vocab_size:,} tokens: {reason}",
        {"tokenizer": options.tokenizer, "reason": reason},
    )
    tokenizer = train_tokenizer(_sample(job, hp), options, hp.sequence_length)
    report = report_losses(tokenizer.backend_tokenizer, texts, options.tokenizer, reason)
    hooks.on_event(
        f"The tokenizer has {len(tokenizer):,} entries; on the beginning of the files {report.describe()}",
        {"tokenizer": report.model_dump(mode="json")},
        level="warn" if report.unknown_share > WARNED_SHARE else "info",
    )
    return tokenizer


def _teacher(folder: Path, hp: MlmHyperparameters, student: TextObjective) -> TextObjective:
    """Loads the teacher. Raises InvalidValue if it cannot read the student's rows or its embeddings do not fit."""
    teacher = load_text(folder)
    size, other = (m.config.hidden_size for m in (student.model, teacher.model))
    why = None
    if teacher.tokenizer.get_vocab() != student.tokenizer.get_vocab():
        why = "its vocabulary differs from the model's"
    elif size != other:
        why = f"its embeddings have {other} dimensions, and the model's have {size}"
    elif hp.sequence_length > teacher.max_length:
        why = f"it reads at most {teacher.max_length} tokens, and sequence_length is {hp.sequence_length}"
    elif student.packs and not teacher.packs:
        # Positions begin at 0 with each document of a row, but RoBERTa-like models begin elsewhere.
        kind = teacher.model.config.model_type
        why = f"a {kind} model cannot read rows of several texts, on which this model is trained"
    if why:
        raise InvalidValue(f"{hp.teacher} cannot teach this model: {why}", param="teacher")
    return teacher


def _save_whole(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Saves a tokenizer with one rename. Half a tokenizer, left by a kill, would fail every later attempt."""
    aside = folder.with_name(f".tmp-{folder.name}")
    for left in (aside, folder):
        shutil.rmtree(left, ignore_errors=True)
    tokenizer.save_pretrained(aside)
    aside.rename(folder)


def _sample(job: TrainingJob, hp: MlmHyperparameters) -> Iterator[str]:
    """Yields documents of all files in turn, as much text as a new tokenizer needs."""
    share = TOKENIZER_CHARS // len(job.training_files)
    for file in job.training_files:
        taken = 0
        for document in read_documents(file.path, file.filename, hp.text_column, documents=hp.documents):
            yield document
            taken += len(document)
            if taken > share:
                break


def _make_room(job: TrainingJob, hp: MlmHyperparameters, objective: TextObjective) -> None:
    files = {*job.training_files, *job.validation_files}
    reading = read_column(hp.text_column, hp.documents)
    data = sum(estimate_missing_bytes(file, reading, objective.tokenizer, job.cache_dir) for file in files)
    checkpoints = disk_bytes(objective.parameter_count(), hp.most_checkpoints)
    make_room(job.cache_dir, job.cache_bytes, data, checkpoints, reserve=job.disk_reserve)


def _tokenize(
    job: TrainingJob, files: tuple[SourceFile, ...], field: str, objective: TextObjective, hooks: Hooks
) -> list[Shard]:
    """Returns the shard of each file.

    Raises InvalidData for the request's `field` if the tokenizer does not know most of the text.
    """
    hp = job.hyperparameters
    assert isinstance(hp, MlmHyperparameters)
    reading = read_column(hp.text_column, hp.documents)
    shards, unknown = [], []
    for file in files:
        listen = PreparationProgress(hooks, file.filename, file.path.stat().st_size)
        shard = tokenize_file(file, reading, objective.tokenizer, job.cache_dir, job.threads, listen)
        report = shard.report
        found = measure_unknown(file, shard, objective.tokenizer.backend_tokenizer, hp)
        empty = int((shard.ends == shard.starts).sum())
        remarks = f", {layouts}" if (layouts := report.describe_layouts()) else ""
        remarks += f"; {found.describe()}" if found.share else ""
        remarks += f"; left out: {report.summary()}" if report.skipped else ""
        remarks += f"; {empty:,} documents have no tokens" if empty else ""
        hooks.on_event(
            f"{file.filename}: {len(shard.tokens):,} tokens in {len(shard.ends):,} documents{remarks}",
            {
                "tokens": len(shard.tokens),
                "documents": len(shard.ends),
                "read_as": {str(layout): count for layout, count in report.layouts.items()},
                "unknown_share": round(found.share, 4),
                "skipped": {str(reason): entry.count for reason, entry in report.skipped.items()},
                "no_tokens": empty,
            },
            level="warn" if report.skipped or empty or report.notes or found.share > WARNED_SHARE else "info",
        )
        for note in report.notes:
            hooks.on_event(note, level="warn")
        shards.append(shard)
        unknown.append(found)
    if files:
        combine_unknown(files, shards, unknown).check(advise(isinstance(job.model, Path), hp), field)
    return shards


def _rows(
    job: TrainingJob, hp: MlmHyperparameters, shards: list[Shard], objective: TextObjective, hooks: Hooks
) -> tuple[Dataset, PackedRows]:
    """Returns (training, held out)."""
    prefix, suffix = objective.affixes()
    overhead = len(prefix) + len(suffix)
    validation = _tokenize(job, job.validation_files, "validation_file", objective, hooks)
    documents, dropped = choose_documents(shards, validation, hp)
    if dropped is not None:
        hooks.on_event(dropped.describe())
    if validation:
        held_documents = all_documents(validation)
    else:
        piece = hp.sequence_length - overhead  # a full row
        documents, held_documents = split_documents(documents, hp.validation_fraction, hp.seed, piece)
        validation = shards

    def rows(source: list[Shard], documents: Ints) -> PackedRows:
        return PackedRows(
            source, pack(documents, hp.sequence_length, overhead, share_rows=objective.packs), prefix, suffix
        )

    training: Dataset
    if all(file.weight == 1.0 for file in job.training_files):
        training = rows(shards, documents)
    else:
        parts = [rows(shards, documents[documents[:, 0] == number]) for number in range(len(shards))]
        training = _mix(job.training_files, parts, hooks)
    held_out = rows(validation, held_documents)
    if not len(training) or not len(held_out):
        raise InvalidData("too little text: there must be some to train on, and some to hold out for evaluation")
    return training, held_out


def _mix(files: tuple[SourceFile, ...], parts: list[PackedRows], hooks: Hooks) -> Mixture:
    mixture = Mixture(parts, [file.weight for file in files])
    for file, samples, tokens in zip(files, mixture.quotas, mixture.part_tokens, strict=True):
        share = samples / max(len(mixture), 1)
        hooks.on_event(
            f"{file.filename}, weight {file.weight:g}: an epoch contains {tokens:,} of its tokens,"
            f" in {samples:,} samples ({share:.1%} of all)",
            {"weight": file.weight, "tokens": tokens, "samples": samples, "share": round(share, 6)},
        )
    return mixture


def _token_counts(shards: list[Shard], size: int) -> NDArray[Any]:
    """Returns the count of each token, [V], at the start of each shard."""
    return sum((np.bincount(s.tokens[:5_000_000], minlength=size) for s in shards), np.zeros(size, np.int64))
