"""A request for an import is checked without HTTP, before its job is queued."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.errors import InvalidValue
from app.jobs.connection import Client
from app.jobs.files import FileStore
from app.jobs.jobs import Jobs
from app.settings import Settings
from app.store.store import ModelStore
from app.submission.imports import ImportSubmission, build_import_spec
from app.submission.submission import SubmissionServices
from app.system.process_pool import ProcessPool
from tests.submission.test_job_specs import admit


@pytest.fixture
def services(redis: Client, tmp_path: Path) -> Iterator[SubmissionServices]:
    settings = Settings(var_dir=tmp_path / "var", model_store=tmp_path / "models", allow_hub=True)
    with ProcessPool(1) as checkers:
        files = FileStore(redis, settings.files_dir)
        yield SubmissionServices(settings, ModelStore(settings.model_store), Jobs(redis), files, checkers, admit)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("org/tiny@main", "tiny"),
        ("prajjwal1/bert-tiny", "prajjwal1/bert-tiny"),  # a preset has the short name
        ("org/2024", "org-2024"),  # a part of digits alone would be a version
    ],
)
def test_the_name_is_by_default_that_of_the_source(services: SubmissionServices, source: str, name: str) -> None:
    assert asyncio.run(build_import_spec(ImportSubmission(source), services)).name == name


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", "bert-tiny", "it is a preset"),
        ("tokenizer_regex", "(a+)+b", "more than 512 characters"),
        ("tokenizer_regex", "(?=a)a", "lookahead"),
        ("tokenizer_regex", "[z-a]", "not a regular expression"),
        ("tokenizer_regex", "a" * 2001, "2001 characters"),
    ],
)
def test_names_and_expressions_are_checked(services: SubmissionServices, field: str, value: str, message: str) -> None:
    with pytest.raises(InvalidValue, match=message) as error:
        asyncio.run(build_import_spec(ImportSubmission("org/tiny", **{field: value}), services))  # type: ignore[arg-type]
    assert error.value.param == field
