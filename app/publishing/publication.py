"""Publication of a job's result, by its worker, and of one of its checkpoints, by a worker or a server.

A checkpoint holds weights only. What a servable folder needs beside them (configuration, tokenizer)
lies in `<job>/skeleton`, which the trainer writes before its first step, with a manifest.json of
what the model is.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.errors import Conflict, FileNotFound, ModelNotFound
from app.jobs.files import FileStore
from app.jobs.held_out import read_held_out
from app.jobs.indexes import files_of
from app.jobs.remote_digests import read_digests
from app.jobs.spec import Checkpoint, Job, pretraining_spec
from app.methods import METHODS, preset
from app.publishing import card
from app.store.manifest import DataSource, Manifest
from app.store.store import ModelEntry, ModelStore
from app.system.durable import write_bytes
from app.system.locks import hold_lock

SKELETON, EXPORT = "skeleton", "export"
RESULT = "result.json"  # beside them
WEIGHTS = "model.safetensors"


class Publisher:
    """jobs_dir: the folder that holds each job's own."""

    def __init__(self, store: ModelStore, files: FileStore, jobs_dir: Path) -> None:
        self._store, self._files, self._jobs_dir = store, files, jobs_dir

    def find_result(self, job: Job) -> ModelEntry | None:
        """Returns what an attempt published before it died without a report."""
        name = job.spec.published_name
        entries = self._store.versions(name) if name else []
        return next((e for e in entries if e.manifest.publication_id == _result_id(job)), None)

    def publish_result(self, job: Job, folder: Path, made: Manifest, fence: Callable[[], None]) -> ModelEntry:
        """made: the modality, architecture, tasks, parameters and metrics of what `folder` holds."""
        return self._publish(job, folder, made, job.spec.name, _result_id(job), fence)

    def save_result(self, job: Job, made: Manifest) -> None:
        """Keeps what `publish_result` would get, for `publish_saved`. The files are in the job's folder `export`."""
        write_bytes(self._jobs_dir / job.id / RESULT, made.model_dump_json().encode())

    def publish_saved(self, job: Job, sweep: Job, fence: Callable[[], None]) -> ModelEntry:
        """Publishes the saved result of a job as that of its sweep. Raises Conflict if it is no longer on this disk."""
        folder = self._jobs_dir / job.id
        try:
            made = Manifest.model_validate_json((folder / RESULT).read_bytes())
        except FileNotFoundError as error:
            raise Conflict(f"the result of job '{job.id}' is not on the disk any more") from error
        return self._publish(job, folder / EXPORT, made, sweep.spec.name, _result_id(sweep), fence)

    def publish_checkpoint(
        self, job: Job, checkpoint: Checkpoint, *, name: str | None = None, fence: Callable[[], None] | None = None
    ) -> ModelEntry:
        """The next version of `name`, by default the job's; the same one if this was done before.

        Raises Conflict if the checkpoint is no longer whole on this disk.
        """
        folder = self._jobs_dir / job.id
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(hold_lock(folder, shared=True, wait=False))
                staged = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder, prefix=".tmp-")))
                tokens, digest = _stage(folder, checkpoint, staged)
                made = Manifest.model_validate_json((staged / "manifest.json").read_bytes())
            except (FileNotFoundError, BlockingIOError) as error:
                raise Conflict(f"checkpoint '{checkpoint.id}' is not on the disk any more") from error
            share = checkpoint.step / max(job.progress.step, 1)
            then = {"step": checkpoint.step, "tokens": tokens, "epoch": round(job.progress.epoch * share, 4)}
            return self._publish(
                job.model_copy(update={"progress": job.progress.model_copy(update=then)}),
                staged,
                made.model_copy(update={"metrics": checkpoint.metrics}),
                name or job.spec.name,
                f"{checkpoint.id}/{digest[:16]}",  # an extension may come to the same step with other weights
                fence,
                is_result=False,
                is_checked=name is not None,
            )

    def _publish(
        self,
        job: Job,
        folder: Path,
        made: Manifest,
        name: str,
        publication: str,
        fence: Callable[[], None] | None,
        *,
        is_result: bool = True,
        is_checked: bool = False,
    ) -> ModelEntry:
        """is_checked: whether the right to the name was checked just now, and not when the job was made."""
        manifest = self._complete(job, made, publication, is_result=is_result)
        text = card.render(job, manifest, name, read_held_out(self._jobs_dir, job.id))
        (folder / "README.md").write_text(text, encoding="utf-8")
        return self._store.publish(
            folder, manifest, name=name, fence=fence, since=None if is_checked else job.created_at
        )

    def _license(self, base: str) -> str | None:
        """Returns the licence of the base, which may be deleted once the job has ended."""
        try:
            return self._store.resolve(base).manifest.license
        except ModelNotFound:
            return None

    def _complete(self, job: Job, made: Manifest, publication: str, *, is_result: bool) -> Manifest:
        spec = pretraining_spec(job)
        from_scratch = preset(spec.model) is not None
        base = None if from_scratch else spec.model
        fields = METHODS[spec.method].hyperparameters.MODEL_FIELDS
        # An extended job goes on from what it has published before. A job of a sweep may have published nothing.
        models = [
            (job.result_model if job.extensions else None) or base,
            *(spec.hyperparameters.get(k) for k in fields),
        ]
        sources = find_sources(self._files, job)
        digests = read_digests(self._jobs_dir / job.id)
        for remote in spec.remote_files.values():
            sha256 = digests.get(remote.address, "")
            sources.append(DataSource(filename=remote.address, bytes=remote.bytes, sha256=sha256))
        return made.model_copy(
            update={
                "description": f"Pretrained by Cloze from {base or 'scratch'}.",
                "license": self._license(base) if base else None,
                "parents": tuple(dict.fromkeys(m for m in models if m)),
                "job_id": job.id,
                "owner": job.owner,
                "publication": publication,
                "request": {key: value for key, value in spec.request.items() if key != "webhook"},
                "data": tuple(sources),
                "metrics": {key: value for key, value in made.metrics.items() if key != "step"},
                "chosen": job.chosen,
                "verdict": job.verdict.model_dump() if job.verdict and is_result else None,
            }
        )


def find_sources(files: FileStore, job: Job) -> list[DataSource]:
    """Returns the uploaded files that a job reads. Files may be deleted once it has ended; they are left out."""
    sources = []
    for file_id in files_of(job):
        with contextlib.suppress(FileNotFound):
            file = files.get(file_id)
            sources.append(DataSource(filename=file.filename, bytes=file.bytes, sha256=file.sha256))
    return sources


@contextmanager
def prevent_publication(folder: Path) -> Iterator[None]:
    """Keeps others from publishing a checkpoint of the job's folder. Raises Conflict if one is being published."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(hold_lock(folder, wait=False))
        except FileNotFoundError:  # it has never run
            pass
        except BlockingIOError as error:
            raise Conflict(f"a checkpoint of job '{folder.name}' is being published: delete it afterwards") from error
        yield


def _result_id(job: Job) -> str:
    """A job publishes its result once, and once more after each extension."""
    return f"{job.id}/{job.extensions}" if job.extensions else job.id


def _stage(folder: Path, checkpoint: Checkpoint, staged: Path) -> tuple[int, str]:
    """Puts a servable folder together → (tokens that the checkpoint was trained on, sha256 of its weights).

    The weights are linked first: a trainer that drops the checkpoint meanwhile does not matter.
    """
    source = folder / checkpoint.path
    os.link(source / WEIGHTS, staged / WEIGHTS)
    digests: dict[str, str] = json.loads((source / "manifest.json").read_bytes())
    tokens = int(json.loads((source / "state.json").read_bytes())["tokens"])
    with (staged / WEIGHTS).open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != digests[WEIGHTS]:
            raise Conflict(f"the weights of checkpoint '{checkpoint.id}' are damaged")
    shutil.copytree(folder / SKELETON, staged, dirs_exist_ok=True)
    return tokens, digests[WEIGHTS]
