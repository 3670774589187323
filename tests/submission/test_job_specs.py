"""A submission is checked without HTTP."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from app.errors import FileNotFound, Forbidden, InvalidValue, ModelNotFound
from app.jobs.connection import Client
from app.jobs.files import FileStore
from app.jobs.jobs import Jobs
from app.jobs.kinds import PretrainingSpec, Webhook
from app.settings import Settings
from app.store.store import ModelStore
from app.submission.job_specs import build_spec, check_submission
from app.submission.submission import Submission, SubmissionServices
from app.system.process_pool import ProcessPool
from app.types import RemoteFile
from tests.fakes.file_server import serve_files


def admit() -> AbstractAsyncContextManager[None]:
    return nullcontext()


@pytest.fixture
def services(redis: Client, tmp_path: Path) -> Iterator[SubmissionServices]:
    settings = Settings(var_dir=tmp_path / "var", model_store=tmp_path / "models", webhook_allow_private=False)
    with ProcessPool(1) as checkers:
        files = FileStore(redis, settings.files_dir)
        yield SubmissionServices(settings, ModelStore(settings.model_store), Jobs(redis), files, checkers, admit)


@pytest.fixture
def file_id(services: SubmissionServices) -> str:
    text = b"The lions hunt the zebras near the river.\n\n" * 50
    return asyncio.run(services.files.create("a.txt", "fine-tune", [text], len(text))).id


Build = Callable[..., PretrainingSpec]


@pytest.fixture
def build(services: SubmissionServices, file_id: str) -> Build:
    def run(**fields: object) -> PretrainingSpec:
        given: dict[str, object] = {"model": "bert-tiny", "files": (file_id,), **fields}
        return asyncio.run(build_spec(Submission(**given), services))  # type: ignore[arg-type]

    return run


def test_a_remote_file_is_pinned_and_previewed(services: SubmissionServices) -> None:
    text = "The lions hunt the zebras near the river.\n\n" * 50
    with serve_files(files={"/a.txt": text.encode()}, etags={"/a.txt": '"1"'}) as server:
        address = server.url("/a.txt", "127.0.0.1")
        rules = {"data_hosts": (f"127.0.0.1:{server.port}",), "data_allow_private": True}
        allowed = replace(services, settings=services.settings.model_copy(update=rules))
        submission = Submission(model="bert-tiny", files=(address,))
        checked = asyncio.run(check_submission(submission, allowed))
        with pytest.raises(Forbidden, match="CLOZE_DATA_HOSTS") as refused:
            asyncio.run(check_submission(submission, services))
    assert refused.value.param == "training_file"
    pinned = RemoteFile(address=address, filename="a.txt", bytes=len(text), etag='"1"')
    assert checked.spec.remote_files == {address: pinned} and checked.spec.files == []
    assert checked.previews[0].preview.items == 50
    assert checked.spec.estimate and checked.spec.estimate.disk_bytes and checked.spec.estimate.disk_bytes > len(text)


def test_a_submission_becomes_a_specification_with_an_estimate(build: Build, file_id: str) -> None:
    spec = build(hyperparameters={"max_steps": 5}, seed=7, name="lions", sent={"model": "bert-tiny"})
    assert (spec.model, spec.method, spec.name, spec.training_files) == ("bert-tiny", "mlm", "lions", (file_id,))
    assert (spec.hyperparameters["max_steps"], spec.hyperparameters["seed"]) == (5, 7)
    assert spec.estimate and spec.estimate.tokens and spec.estimate.memory_bytes
    assert spec.request == {"model": "bert-tiny"}


@pytest.mark.parametrize(
    ("fields", "error", "param"),
    [
        ({"model": "bert-giant"}, ModelNotFound, "model"),
        ({"files": ("file-0",)}, FileNotFound, "training_file"),
        ({"method": {"type": "mlx"}}, InvalidValue, "method.type"),
        ({"hyperparameters": {"max_steps": 0}}, InvalidValue, "hyperparameters.max_steps"),
        ({"name": "a/../b", "name_field": "suffix"}, InvalidValue, "suffix"),
        ({"webhook": Webhook(url="http://127.0.0.1:9000/", secret="whsec_")}, InvalidValue, "webhook.url"),
        ({"deadline": 1.0}, InvalidValue, "deadline"),
    ],
)
def test_an_error_names_the_field_of_the_request(
    build: Build, fields: dict[str, object], error: type[Exception], param: str
) -> None:
    with pytest.raises(error) as raised:
        build(**fields)
    assert raised.value.param == param  # type: ignore[attr-defined]
