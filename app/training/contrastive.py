"""The preparation of contrastive training: encoder, pairs of texts and scored pairs."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np

from app.datasets.documents import read_open
from app.datasets.pairs import ScoredPair, has_scores, read_pairs, read_scored
from app.datasets.reports import Report
from app.errors import InvalidData, InvalidValue
from app.methods import ContrastiveHyperparameters
from app.methods.contrastive import DEFAULT_LENGTH
from app.modalities.text.contrastive import ContrastiveText, ScoredTexts
from app.modalities.text.load import load_text
from app.modalities.text.objective import TextObjective
from app.modalities.text.training import pair_columns
from app.modalities.text.unknown import WARNED_SHARE, find_unknown
from app.training.data.cache import make_room
from app.training.data.mixture import Mixture
from app.training.data.pairs import COLUMNS, PairRows, TextCut, anchor_keys, list_pairs, split_pairs
from app.training.data.preparation import PreparationProgress
from app.training.data.shards import Reading, Shard, estimate_missing_bytes, tokenize_file
from app.training.data.source_file import SourceFile
from app.training.hooks import Dataset, Hooks
from app.training.job import PreparedRun, TrainingJob
from app.training.loop.checkpoint import disk_bytes
from app.training.loop.evaluate import spread

MAX_SCORED = 100_000  # scored pairs that are read
SAMPLE_CHARS = 300_000  # characters of a file that are judged by what the tokenizer knows


def prepare(job: TrainingJob, hooks: Hooks) -> PreparedRun:
    """Prepares model and data. Raises AppErrors for what the user can fix: data, model, hyperparameters."""
    hp = job.hyperparameters
    assert isinstance(hp, ContrastiveHyperparameters)
    assert isinstance(job.model, Path)
    text = _load_encoder(job.model, hp, hooks)
    prompt = _find_prompt(text)
    cut = TextCut(*text.affixes(), hp.sequence_length or min(DEFAULT_LENGTH, text.embed_max_length))
    _check_room(cut, text, prompt)
    scores, pairs = _sort_validation(job.validation_files, hp)
    scored = _read_scores(scores, hp, text, cut, prompt, hooks)
    objective = ContrastiveText(text, hp.model_copy(update={"sequence_length": cut.length}), scored)
    training, held_out = _make_datasets(job, hp, _make_reading(hp, prompt), text, cut, pairs, hooks)
    return PreparedRun(
        objective=objective,
        training=training,
        held_out=held_out,
        samples_per_step=hp.batch_size,
        from_scratch=False,
        new_head=False,
    )


def _load_encoder(folder: Path, hp: ContrastiveHyperparameters, hooks: Hooks) -> TextObjective:
    text = load_text(folder)
    if text.has_head:
        text = load_text(folder, keep_head=False)
        hooks.on_event(
            "The masked-LM head is left out of the result: it would not be trained, so its predictions would get worse"
        )
    if (hp.sequence_length or 0) > text.embed_max_length:
        raise InvalidValue(
            f"sequence_length is {hp.sequence_length}, but the model embeds at most {text.embed_max_length} tokens",
            param="sequence_length",
        )
    return text


def _find_prompt(text: TextObjective) -> str:
    """Returns the text that the model puts before each text that it embeds."""
    pipeline = text.pipeline
    prompt = pipeline.prompts[pipeline.default_prompt] if pipeline.default_prompt else ""
    if prompt and not pipeline.include_prompt:
        raise InvalidValue("a model that leaves its prompt out of the pooling cannot be trained", param="model")
    return prompt


def _check_room(cut: TextCut, text: TextObjective, prompt: str) -> None:
    """Raises InvalidValue if the prompt leaves no room for text: all texts would then be cut to the same tokens."""
    taken = cut.overhead + (len(text.encoder.content_ids(prompt)) if prompt.strip() else 0)
    if taken >= cut.length:
        raise InvalidValue(
            f"a sequence_length of {cut.length} leaves no room for text: the prompt and the special tokens of the model"
            f" take {taken} tokens",
            param="sequence_length",
        )


def _make_reading(hp: ContrastiveHyperparameters, prompt: str) -> Reading:
    """Returns how files are read: three texts a pair, or one."""
    columns = pair_columns(hp)

    def read_triples(file: BinaryIO, filename: str, report: Report) -> Iterator[str]:
        for pair in read_pairs(file, filename, columns, report):
            yield prompt + pair.anchor
            yield prompt + pair.positive
            yield prompt + pair.negative if pair.negative else ""

    def read_texts(file: BinaryIO, filename: str, report: Report) -> Iterator[str]:
        found = read_open(file, filename, hp.text_column, documents=hp.documents, report=report)
        return (prompt + document.text for document in found)

    if hp.positives == "column":
        return Reading(("pairs", columns.anchor, columns.positive, columns.negative, prompt), read_triples)
    return Reading(("texts", hp.text_column, hp.documents, prompt), read_texts)


def _sort_validation(
    files: Sequence[SourceFile], hp: ContrastiveHyperparameters
) -> tuple[list[SourceFile], list[SourceFile]]:
    """Returns the validation files with scores, and those with pairs."""
    scored: list[SourceFile] = []
    pairs: list[SourceFile] = []
    for file in files:
        with file.path.open("rb") as content:
            (scored if has_scores(content, file.filename, pair_columns(hp)) else pairs).append(file)
    return scored, pairs


def _read_scores(
    files: Sequence[SourceFile],
    hp: ContrastiveHyperparameters,
    text: TextObjective,
    cut: TextCut,
    prompt: str,
    hooks: Hooks,
) -> list[ScoredTexts]:
    """Returns at most `max_eval_samples` scored pairs, spread evenly over the files."""
    found: list[ScoredPair] = []
    for file in files:
        report = Report()
        with file.path.open("rb") as content:
            found += islice(read_scored(content, file.filename, pair_columns(hp), report), MAX_SCORED)
        report.check("scored pairs")
        left_out = f"; left out: {report.summary()}" if report.skipped else ""
        hooks.on_event(
            f"{file.filename}: {report.usable:,} scored pairs{left_out}", level="warn" if left_out else "info"
        )
    chosen = [found[place] for place in spread(len(found), hp.max_eval_samples)] if found else []

    def encode(each: str) -> np.ndarray:
        return cut.apply(np.array(text.encoder.content_ids(prompt + each), np.int64))

    return [ScoredTexts(encode(pair.first), encode(pair.second), pair.score) for pair in chosen]


def _make_datasets(
    job: TrainingJob,
    hp: ContrastiveHyperparameters,
    reading: Reading,
    text: TextObjective,
    cut: TextCut,
    validation: Sequence[SourceFile],
    hooks: Hooks,
) -> tuple[Dataset, PairRows]:
    """Returns (training, held out)."""
    files = [*job.training_files, *validation]
    missing = sum(estimate_missing_bytes(file, reading, text.tokenizer, job.cache_dir) for file in files)
    checkpoints = disk_bytes(text.parameter_count(), hp.most_checkpoints)
    make_room(job.cache_dir, job.cache_bytes, missing, checkpoints, reserve=job.disk_reserve)
    columns = COLUMNS if hp.positives == "column" else 1
    shards = [_tokenize(job, file, reading, text, "training_file", hooks) for file in job.training_files]
    pairs = list_pairs(shards, columns)
    keys = anchor_keys(shards, pairs, columns)
    if validation:
        held_shards = [_tokenize(job, file, reading, text, "validation_file", hooks) for file in validation]
        held = list_pairs(held_shards, columns)
        leaked = np.isin(keys, anchor_keys(held_shards, held, columns))
        pairs = pairs[~leaked]
        if leaked.any():
            hooks.on_event(f"Left {leaked.sum():,} training pairs out: their first text is in the validation file")
    else:
        held_shards = shards
        pairs, held = split_pairs(pairs, keys, hp.validation_fraction, hp.seed)
    if len(pairs) < 2 or len(held) < 2:
        raise InvalidData("too few pairs: there must be at least two to train on, and two to hold out")
    parts = [PairRows(shards, pairs[pairs[:, 0] == number], cut, columns) for number in range(len(shards))]
    training: Dataset = PairRows(shards, pairs, cut, columns)
    if any(file.weight != 1.0 for file in job.training_files):
        training = Mixture(parts, [file.weight for file in job.training_files])
    return training, PairRows(held_shards, held, cut, columns)


def _tokenize(
    job: TrainingJob, file: SourceFile, reading: Reading, text: TextObjective, field: str, hooks: Hooks
) -> Shard:
    """Returns the shard of a file. Raises InvalidData for the request's `field` if its text is mostly unknown."""
    listen = PreparationProgress(hooks, file.filename, file.path.stat().st_size)
    shard = tokenize_file(file, reading, text.tokenizer, job.cache_dir, job.threads, listen)
    report = shard.report
    report.check("rows")
    unknown = find_unknown(text.tokenizer.backend_tokenizer, list(_sample(file, reading)))
    unknown.check("Start from a model whose tokenizer knows this text.", field)
    remarks = f"; {unknown.describe()}" if unknown.share else ""
    remarks += f"; left out: {report.summary()}" if report.skipped else ""
    hooks.on_event(
        f"{file.filename}: {len(shard.tokens):,} tokens in {report.usable:,} rows{remarks}",
        {
            "tokens": len(shard.tokens),
            "rows": report.usable,
            "unknown_share": round(unknown.share, 4),
            "skipped": {str(reason): entry.count for reason, entry in report.skipped.items()},
        },
        level="warn" if report.skipped or unknown.share > WARNED_SHARE else "info",
    )
    return shard


def _sample(file: SourceFile, reading: Reading) -> Iterator[str]:
    """Yields the beginning of the texts of a file."""
    taken = 0
    with file.path.open("rb") as content:
        for text in reading.read(content, file.filename, Report()):
            yield text[:SAMPLE_CHARS]
            taken += len(text)
            if taken >= SAMPLE_CHARS:
                return
