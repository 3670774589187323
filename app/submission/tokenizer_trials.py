"""Trials of the tokenizer that a job would train, on files or on texts of the request."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial

from app.datasets.sampling import DocumentSample, sample_documents
from app.errors import AppError, EmptyInput, InvalidValue
from app.jobs.files import FileStore
from app.methods.tokenizers import TokenizerOptions, TokenizerReport
from app.modalities.text.items import TokenInfo
from app.modalities.text.new_tokenizers.round_trip import SAMPLE_CHARS, sample_texts, tokenize_with_new
from app.system.process_pool import ProcessPool


@dataclass(frozen=True)
class TrialServices:
    """The services that a trial needs. files: None if the server has no files."""

    checkers: ProcessPool
    admit_check: Callable[[], AbstractAsyncContextManager[None]]
    files: FileStore | None


@dataclass(frozen=True)
class TokenizerTrial:
    """A new tokenizer to try. The sample is the beginning of the files, or these texts."""

    options: TokenizerOptions
    files: tuple[str, ...]
    sample: tuple[str, ...]  # empty: the texts themselves
    text_column: str
    texts: tuple[str, ...]  # to be tokenized
    add_special_tokens: bool


async def run_trial(trial: TokenizerTrial, services: TrialServices) -> tuple[TokenizerReport, list[list[TokenInfo]]]:
    """Trains the tokenizer on the sample in a child process, and tokenizes the texts.

    Raises:
        InvalidValue: An option, the texts or the sample is wrong. InvalidData if it is the content of a file.
        EmptyInput: There is no text to train on.
        FileNotFound: A file does not exist.
        Busy: Too many files are being checked.
        TooLarge: The trial takes too much time or memory.
    """
    trial.options.check_options()
    if sum(map(len, trial.texts)) > SAMPLE_CHARS:
        raise InvalidValue(f"a new tokenizer is tried on at most {SAMPLE_CHARS:,} characters", param="input")
    async with services.admit_check():
        sample = await _read_sample(trial, services)
        if not any(text.strip() for text in sample):
            param = "training_files" if trial.files else "sample" if trial.sample else "input"
            raise EmptyInput(f"`{param}` has no text to train a tokenizer on", param=param)
        call = partial(
            tokenize_with_new, trial.options, sample, trial.texts, add_special_tokens=trial.add_special_tokens
        )
        return await services.checkers.call(call)


async def _read_sample(trial: TokenizerTrial, services: TrialServices) -> Sequence[str]:
    if not trial.files:
        texts = trial.sample or trial.texts
        return sample_texts([DocumentSample(len(texts), sum(map(len, texts)), 1.0, texts)])
    if services.files is None:
        raise InvalidValue("this server has no files; give the texts as `sample`", param="training_files")
    found = []
    for file_id in trial.files:
        try:
            file = await asyncio.to_thread(services.files.get, file_id)
            check = partial(sample_documents, text_column=trial.text_column)
            path = await asyncio.to_thread(services.files.path, file_id)
            found.append(await services.checkers.call(partial(check, path, file.filename)))
        except AppError as error:
            error.param = error.param or "training_files"
            raise
    return sample_texts(found)
