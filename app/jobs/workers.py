"""Which workers there are: each says so at every beat, and is forgotten when it falls silent."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.jobs.connection import Client
from app.jobs.kinds import JobState, Resources
from app.jobs.spec import Job

_WORKERS = "cloze:workers"


class Capabilities(BaseModel):
    """The resources that a worker offers to a job."""

    model_config = ConfigDict(frozen=True)

    devices: tuple[str, ...] = Field(("cpu",), description="Devices; a job that names none runs on the first one")
    memory_gb: float | None = Field(None, description="Memory of the machine in GB; null if it is not known")
    gpu_memory_gb: float | None = Field(None, description="Memory of the GPU that jobs run on, in GB")
    threads: int | None = Field(None, description="Number of threads of a job")
    trainer: Literal["local", "ray"] = Field(
        "local", description="Where jobs train: on the worker's machine, or on a cluster of Ray"
    )


class MachineUse(BaseModel):
    """The memory of a worker's machine, and the disk that it writes to."""

    model_config = ConfigDict(frozen=True)

    memory_bytes: int
    memory_available_bytes: int
    disk_bytes: int
    disk_free_bytes: int


class WorkerInfo(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: str
    host: str
    machine: str  # equal where processes see one another's pids
    pid: int
    birth: str | None  # when the process began, by its kernel: tells it from a later one of the same pid
    started_at: float
    capabilities: Capabilities = Capabilities()
    draining: bool = False  # told to stop: it claims nothing more
    job_id: str | None = None  # the job that it trains
    import_id: str | None = None  # the import that it works on beside it
    evaluation_id: str | None = None  # the evaluation that it works on beside them
    use: MachineUse | None = None  # by the last beat; None where the machine does not tell
    last_seen: float = 0.0  # by the Redis server's clock, filled by the registry
    ttl: float = 30.0  # seconds of silence after which it is taken for dead


class WorkerRegistry:
    def __init__(self, redis: Client) -> None:
        self._redis = redis

    def beat(self, worker: WorkerInfo) -> None:
        seen = worker.model_copy(update={"last_seen": self._now()})
        self._redis.hset(_WORKERS, worker.id, seen.model_dump_json())

    def remove(self, worker_id: str) -> None:
        self._redis.hdel(_WORKERS, worker_id)

    def list(self) -> "list[WorkerInfo]":
        """The workers that are alive, oldest first; the records of the dead are dropped."""
        now = self._now()
        entries: dict[bytes, Any] = self._redis.hgetall(_WORKERS)
        workers = [WorkerInfo.model_validate_json(raw) for raw in entries.values()]
        dead = [w.id for w in workers if w.last_seen + w.ttl < now]
        if dead:
            self._redis.hdel(_WORKERS, *dead)
        return sorted((w for w in workers if w.id not in dead), key=lambda w: w.started_at)

    def _now(self) -> float:
        seconds, micros = self._redis.time()
        return float(seconds + micros / 1e6)


def fits(wanted: Resources, offered: Capabilities) -> bool:
    """Whether a worker has the `wanted` resources. Resources that it does not report count as sufficient.

    A cluster places the processes itself, and lets them wait until there is what they need.
    """
    if offered.trainer == "ray":
        return True
    device = wanted.device or ("cuda" if wanted.gpus else offered.devices[0])
    memory = offered.gpu_memory_gb if device == "cuda" else offered.memory_gb
    return (
        device in offered.devices
        and (wanted.nodes or 1) == 1
        and (wanted.memory_gb is None or memory is None or memory >= wanted.memory_gb)
        and (wanted.threads is None or offered.threads is None or offered.threads >= wanted.threads)
    )


def queue_reason(job: Job, workers: Sequence[WorkerInfo], now: float) -> str | None:
    """Why a queued job does not run, beside those before it; None for other jobs."""
    if job.state is not JobState.QUEUED:
        return None
    able = [w for w in workers if not w.draining]
    if not able:
        return "no worker is running"
    if not any(fits(job.spec.resources, w.capabilities) for w in able):
        wanted = ", ".join(f"{k} {v}" for k, v in job.spec.resources.model_dump(exclude_none=True).items())
        offered = "; ".join(sorted({_describe(w.capabilities) for w in able}))
        return f"no live worker offers what the job asks for ({wanted}); there are: {offered}"
    if job.retry_at is not None and job.retry_at > now:
        return f"it waits {job.retry_at - now:.0f} s after a crash"
    if all(_is_busy(w, job) for w in able if fits(job.spec.resources, w.capabilities)):
        return "the workers that can do it are busy"
    return None


def _is_busy(worker: WorkerInfo, job: Job) -> bool:
    """Whether the worker has a job of this kind already."""
    current = {"import": worker.import_id, "evaluation": worker.evaluation_id}.get(job.spec.kind, worker.job_id)
    return current is not None


def _describe(offered: Capabilities) -> str:
    if offered.trainer == "ray":
        return "a cluster of Ray"
    parts = [", ".join(offered.devices)]
    parts += [f"{offered.memory_gb:.0f} GB"] if offered.memory_gb else []
    parts += [f"{offered.gpu_memory_gb:.0f} GB of GPU memory"] if offered.gpu_memory_gb else []
    parts += [f"{offered.threads} threads"] if offered.threads else []
    return " with ".join([parts[0], ", ".join(parts[1:])]) if parts[1:] else parts[0]
