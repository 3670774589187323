"""The indexes beside the records: by them jobs are found without reading every record.

All of them are derived from records: `job_entries` says what a job's record implies, transactions write
that, and `index_repair` compares it with what is there. Keys, all under `cloze:`:

- sorted sets of job ids: `jobs` all by age; `queue` the waiting by priority and queue number, and
  `queue:<kind>` those of other kinds than pretraining; `leases` the claimed by
  expiry; `deadlines` the unfinished by theirs; `finished` the ended by when;
- sets of job ids: `state:<state>`, one of which holds each job; `file:<id>:jobs` and `model:<id>:jobs`, the
  unfinished jobs that need it; `owner:<key>:jobs` the unfinished of an API key;
- `files`, a sorted set of file ids by age.
"""

import re
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from app.errors import FileNotFound, JobNotFound
from app.jobs.connection import Client
from app.jobs.kinds import AnySpec, EvaluationSpec, ImportSpec, JobState, SweepSpec
from app.jobs.spec import FINAL_STATES, Job, StoredFile
from app.methods import METHODS, preset

JOBS, LEASES = "cloze:jobs", "cloze:leases"
# By kind of job.
QUEUES = {
    "pretraining": "cloze:queue",
    "import": "cloze:queue:import",
    "evaluation": "cloze:queue:evaluation",
    "sweep": "cloze:queue:sweep",
}
SEQUENCE, QUEUE_NUMBERS = "cloze:sequence", "cloze:turns"  # no indexes: the last job's number; those of moved jobs
DEADLINES, FINISHED, FILES = "cloze:deadlines", "cloze:finished", "cloze:files"
# Scores in the queue are number − priority · CLASS, exact in a double for every queue number below CLASS.
CLASS = 2**40
_JOB_ID, _FILE_ID = re.compile("ftjob-[a-z0-9]+"), re.compile("file-[a-z0-9]+")  # others could make another key

# The index keys that hold an id: each with its score, or None where the index is a plain set.
Entries: TypeAlias = Mapping[str, float | None]


def job_key(job_id: str) -> str:
    """Raises JobNotFound for a text that is not an id."""
    if not _JOB_ID.fullmatch(job_id):
        raise JobNotFound(f"no job '{job_id}'")
    return f"cloze:job:{job_id}"


def file_key(file_id: str) -> str:
    """Raises FileNotFound for a text that is not an id."""
    if not _FILE_ID.fullmatch(file_id):
        raise FileNotFound(f"no file '{file_id}'")
    return f"cloze:file:{file_id}"


def state_key(state: JobState) -> str:
    return f"cloze:state:{state}"


def file_jobs_key(file_id: str) -> str:
    return f"cloze:file:{file_id}:jobs"


def model_jobs_key(model_id: str) -> str:
    return f"cloze:model:{model_id}:jobs"


def owner_jobs_key(owner: str) -> str:
    return f"cloze:owner:{owner}:jobs"


def files_of(job: Job) -> list[str]:
    return [file for _, file in job.spec.files]


def models_of(job: Job) -> list[str]:
    """The stored models that it needs, as name@version: its base, its teacher, that of its tokenizer."""
    if isinstance(job.spec, SweepSpec):
        specs = [job.spec.child(job.id, index) for index in range(len(job.spec.children))]
        return list(dict.fromkeys(model for spec in specs for model in _models_of(spec)))
    return _models_of(job.spec)


def _models_of(spec: AnySpec) -> list[str]:
    if isinstance(spec, SweepSpec):
        return []
    if isinstance(spec, ImportSpec):
        return [spec.base] if spec.base else []
    if isinstance(spec, EvaluationSpec):
        return list(spec.models)
    named = [spec.hyperparameters.get(field) for field in METHODS[spec.method].hyperparameters.MODEL_FIELDS]
    base = spec.model if preset(spec.model) is None else None
    return list(dict.fromkeys(filter(None, [base, *named])))


def job_entries(job: Job, sequence: int, number: int) -> Entries:
    """The entries of all indexes that a job's record implies.

    sequence: the job's number by age. number: its queue number, which orders jobs of equal priority.
    """
    has_ended = job.state in FINAL_STATES
    scores = {
        JOBS: sequence,
        QUEUES[job.spec.kind]: queue_score(job.priority, number) if job.waits else None,
        LEASES: job.lease_until,
        DEADLINES: None if has_ended else job.deadline,
        FINISHED: job.finished_at,
    }
    users = [] if has_ended else [*map(file_jobs_key, files_of(job)), *map(model_jobs_key, models_of(job))]
    if job.owner and not has_ended:
        users.append(owner_jobs_key(job.owner))
    entries: dict[str, float | None] = {key: score for key, score in scores.items() if score is not None}
    return entries | dict.fromkeys([state_key(job.state), *users])


def file_entries(file: StoredFile) -> Entries:
    return {FILES: file.created_at}


def replace_entries(pipe: Client, member: str, before: Entries, after: Entries) -> None:
    """Queues the commands that make the entries of an id `after`, where they are `before` or some of `after`."""
    for key, score in before.items():
        if key not in after:
            pipe.srem(key, member) if score is None else pipe.zrem(key, member)
    for key, score in after.items():
        pipe.sadd(key, member) if score is None else pipe.zadd(key, {member: score})


def place_of(ranks: Iterable[int | None]) -> int | None:
    """The job's place in its queue, from its ranks in all of them; None if it does not wait."""
    return next((rank for rank in ranks if rank is not None), None)


def queue_score(priority: int, number: int) -> int:
    return number - priority * CLASS


def queue_priority(score: float) -> int:
    return -int(score // CLASS)
