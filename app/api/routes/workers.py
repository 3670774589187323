"""/v1/workers: the workers that run jobs."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.api.deps import JobsDep
from app.jobs.workers import Capabilities, WorkerInfo

router = APIRouter(prefix="/v1/workers", tags=["Workers"])


class WorkerObject(BaseModel):
    id: str
    object: Literal["worker"] = "worker"
    host: str = Field(description="Name of the machine")
    pid: int = Field(description="Process id of the worker")
    started_at: int
    last_seen: int = Field(description="Unix time of the last sign of life, in seconds")
    status: Literal["idle", "busy", "draining"] = Field(
        description="`draining`: the worker stops when its job has saved a checkpoint"
    )
    job_id: str | None = Field(description="Id of the job that the worker trains")
    import_id: str | None = Field(description="Id of the import that the worker runs at the same time")
    evaluation_id: str | None = Field(description="Id of the evaluation that the worker runs at the same time")
    capabilities: Capabilities = Field(description="Resources of the worker")


class WorkerList(BaseModel):
    object: Literal["list"] = "list"
    data: list[WorkerObject]


@router.get("")
def list_workers(jobs: JobsDep) -> WorkerList:
    """Lists the workers that are alive, oldest first. A silent worker is removed after some seconds."""
    return WorkerList(data=[_worker_object(worker) for worker in jobs.workers.list()])


def _worker_object(worker: WorkerInfo) -> WorkerObject:
    is_busy = any((worker.job_id, worker.import_id, worker.evaluation_id))
    return WorkerObject(
        id=worker.id,
        host=worker.host,
        pid=worker.pid,
        started_at=int(worker.started_at),
        last_seen=int(worker.last_seen),
        status="draining" if worker.draining else "busy" if is_busy else "idle",
        job_id=worker.job_id,
        import_id=worker.import_id,
        evaluation_id=worker.evaluation_id,
        capabilities=worker.capabilities,
    )
