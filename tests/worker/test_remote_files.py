"""The remote files of a job, from a local server."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.datasets.remote.files import find_remote
from app.errors import InvalidData
from app.jobs.kinds import PretrainingSpec
from app.training.data.cache import evict
from app.training.data.source_file import SourceFile
from app.training.hooks import Stopped
from app.types import RemoteFile
from app.worker.attempt import Attempt
from app.worker.remote_files import RemoteFiles
from app.worker.reports import Reports
from tests.fakes.file_server import FileServer, serve_files
from tests.worker.conftest import AllServices

TEXT = b"The lions hunt the zebras near the river.\n" * 50_000


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serve_files(files={"/a.txt": TEXT}, etags={"/a.txt": '"1"'}) as served:
        yield served


class RunningJob:
    """A job with one remote file, and its attempts."""

    def __init__(self, services: AllServices, server: FileServer) -> None:
        rules = {"data_hosts": (f"127.0.0.1:{server.port}",), "data_allow_private": True}
        self.services = replace(services, settings=services.settings.model_copy(update=rules))
        access = self.services.settings.remote_access
        self.file: RemoteFile = find_remote(server.url("/a.txt", "127.0.0.1"), access)
        address = self.file.address
        spec = PretrainingSpec(
            model="bert-tiny", method="mlm", hyperparameters={}, training_files=(address,), name="tiny",
            remote_files={address: self.file},
        )  # fmt: skip
        job = services.jobs.create(spec)
        claim = services.queue.claim("w1", 60)
        assert claim is not None
        self.folder = self.services.settings.jobs_dir / job.id
        self.folder.mkdir(parents=True)
        self.attempt = Attempt(services.queue.read(claim), claim, self.folder)
        self.stopped = False
        self.reports = Reports(services.queue, claim, self.folder, lambda: self.stopped)

    def fetch(self) -> SourceFile:
        with RemoteFiles(self.attempt, self.reports, self.services) as remote:
            return remote.fetch(self.file, 2.0)

    def messages(self) -> list[str]:
        self.reports.flush()
        events, _ = self.services.jobs.events(self.attempt.job.id, limit=100)
        return [event.message for event in events]

    @property
    def cache(self) -> Path:
        return self.services.settings.cache_dir


@pytest.fixture
def running(services: AllServices, server: FileServer) -> RunningJob:
    return RunningJob(services, server)


def test_a_file_is_downloaded_once_and_named_in_an_event(running: RunningJob, server: FileServer) -> None:
    found = running.fetch()
    assert (found.path.read_bytes(), found.filename, found.weight) == (TEXT, "a.txt", 2.0)
    assert any(message == f"Downloading {running.file.address}, 2.1 MB" for message in running.messages())
    server.asked.clear()
    assert running.fetch() == found and not server.asked
    assert json.loads((running.folder / "remote_files.json").read_bytes()) == {running.file.address: found.sha256}


def test_a_stop_during_the_download_keeps_what_has_arrived(running: RunningJob, server: FileServer) -> None:
    server.cut = 500_000
    running.stopped = True
    with pytest.raises(Stopped):
        running.fetch()
    (aside,) = (running.cache / "remote").iterdir()
    saved = int((aside / "saved").read_text())
    assert 0 < saved <= 500_000
    running.stopped, server.cut = False, None
    server.asked.clear()
    assert running.fetch().path.read_bytes() == TEXT
    assert server.asked == [saved]
    assert any("continuing" in message for message in running.messages())


def test_a_file_that_changed_without_a_sign_is_found_by_its_digest(running: RunningJob, server: FileServer) -> None:
    running.fetch()
    server.files["/a.txt"] = TEXT.swapcase()
    evict(running.cache, 0)
    with pytest.raises(InvalidData, match="SHA-256"):
        running.fetch()
