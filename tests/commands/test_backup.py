"""`cloze backup` and `cloze restore`, with a real Redis."""

import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.commands.backup import restore_backup, write_backup
from app.errors import AppError, Conflict, InvalidData
from app.jobs.connection import EmbeddedRedis, connect
from app.jobs.files import FileStore
from app.jobs.kinds import JobState
from app.jobs.workers import Capabilities
from app.settings import Settings
from app.store.manifest import Manifest
from app.store.store import ModelStore
from app.types import ModalityName, Task
from tests.fakes.jobs import JobSystem, make_spec


def settings_of(folder: Path) -> Settings:
    return Settings(var_dir=folder / "var", model_store=folder / "models")


def publish(store: ModelStore, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_bytes(os.urandom(100_000))
    values = {"modality": ModalityName.TEXT, "architecture": "fake", "tasks": (Task.EMBED,), "parameters": 2}
    store.publish(folder, Manifest.model_validate(values), name="org/mine")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Settings]:
    """The data of a running server: models with an alias, uploads, a running job with a checkpoint, one that waits."""
    settings = settings_of(tmp_path / "old")
    store = ModelStore(settings.model_store)
    publish(store, tmp_path / "weights")
    publish(store, tmp_path / "weights")
    store.set_alias("org/mine", "stable", 1)
    with EmbeddedRedis(settings.var_dir) as server, connect(server.url) as redis:
        files, jobs = FileStore(redis, settings.files_dir), JobSystem(redis)
        for name in ("a.txt", "b.txt"):
            with files.upload(name, "fine-tune", 10**6) as upload:
                upload.write(b"The same bytes, which are shared on the disk.\n")
                upload.finish()
        job, _ = (jobs.create(make_spec(redis, training_files=(f.id,))) for f in files.list(limit=2)[0])
        claim = jobs.queue.claim("w", 60.0, Capabilities())
        assert claim is not None and claim.job_id == job.id
        checkpoint = settings.jobs_dir / job.id / "checkpoints" / "step-5"
        checkpoint.mkdir(parents=True)
        (checkpoint / "state").write_bytes(b"weights")
        jobs.queue.add_checkpoint(claim, 5, "checkpoints/step-5", {"eval_loss": 1.0})
        jobs.queue.append_event(claim, "Step 5", type="metrics", data={"step": 5, "train_loss": 2.0})
        (settings.var_dir / "cache").mkdir()
        (settings.var_dir / "cache" / "shard").write_bytes(b"made again")
        yield settings


def test_a_running_server_is_restored_elsewhere(running: Settings, tmp_path: Path) -> None:
    target = tmp_path / "backup.tar"
    assert write_backup(running, target) > 10
    assert target.stat().st_mode & 0o777 == 0o600
    new = settings_of(tmp_path / "new" / "place")
    restore_backup(new, target)

    store = ModelStore(new.model_store)
    assert [entry.id for entry in store.list()] == [entry.id for entry in ModelStore(running.model_store).list()]
    assert store.resolve("org/mine:stable").version == 1
    weights = store.resolve("org/mine").path / "model.safetensors"
    assert weights.read_bytes() == (tmp_path / "weights" / "model.safetensors").read_bytes()
    assert not (new.var_dir / "cache").exists()
    with EmbeddedRedis(new.var_dir) as server, connect(server.url) as redis:
        files, jobs = FileStore(redis, new.files_dir), JobSystem(redis)
        found, _ = files.list(limit=10)
        assert {file.filename for file in found} == {"a.txt", "b.txt"}
        assert all(files.path(file.id).read_bytes().startswith(b"The same bytes") for file in found)
        assert len({files.path(file.id).stat().st_ino for file in found}) == 1
        jobs.queue.repair_indexes()
        waiting, running_job = jobs.list(limit=10)[0]
        assert (running_job.state, waiting.state) == (JobState.RUNNING, JobState.QUEUED)
        [checkpoint], _ = jobs.checkpoints(running_job.id)
        assert (new.jobs_dir / running_job.id / checkpoint.path / "state").read_bytes() == b"weights"
        assert jobs.series.last([running_job.id], "train_loss") == {running_job.id: 2.0}
        # Its worker is gone, so the job goes back to the queue, and a new worker goes on with it.
        jobs.queue.reconcile(dead=["w"])
        assert jobs.get(running_job.id).state is JobState.QUEUED


def truncated(content: bytes) -> bytes:
    return content[: len(content) * 2 // 3]


def changed(content: bytes) -> bytes:
    return content.replace(b"The same bytes", b"Other bytes xx", 1)


def no_backup(content: bytes) -> bytes:
    return b"text"


@pytest.mark.parametrize("damage", [truncated, changed, no_backup])
def test_a_damaged_backup_leaves_nothing(running: Settings, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    target = tmp_path / "backup.tar"
    write_backup(running, target)
    target.write_bytes(damage(target.read_bytes()))
    with pytest.raises(InvalidData):
        restore_backup(settings_of(tmp_path / "new"), target)
    assert not list((tmp_path / "new").iterdir())


@pytest.mark.parametrize("name", ["var/../../outside", "/var/x", "other/x", "var/files/../x", "models"])
def test_members_stay_in_their_folders(tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo(name))
    with pytest.raises(InvalidData):
        restore_backup(settings_of(tmp_path / "new"), tmp_path / "bad.tar")
    assert not (tmp_path / "outside").exists()


def test_nothing_is_overwritten(running: Settings, tmp_path: Path) -> None:
    target = tmp_path / "backup.tar"
    write_backup(running, target)
    with pytest.raises(AppError, match="is not empty"):
        restore_backup(running, target)
    external = settings_of(tmp_path / "new").model_copy(
        update={"redis_url": (running.var_dir / "redis.url").read_text().strip()}
    )
    with pytest.raises(Conflict, match="has records"):
        restore_backup(external, target)
