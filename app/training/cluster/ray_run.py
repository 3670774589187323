"""Runs a training job on a Ray cluster. Ray places and connects the processes; attempts and resumption stay Cloze's.

Ray is imported when a run begins: it is the optional extra `ray`.
"""

import os
import secrets
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch.distributed as dist

from app.errors import NotReady
from app.training.cluster.client import connect_hooks, report_life
from app.training.cluster.messages import SILENT_SECONDS
from app.training.cluster.server import RunServer
from app.training.hooks import Hooks, Killed
from app.training.job import TrainingJob, TrainingResult
from app.training.loop.distributed import TIMEOUT, ProcessGroup, SilentHooks
from app.training.run import run_in_group

_CLOSE_SECONDS = 20.0  # for Ray to end a run whose processes have ended
# Ray's own settings, unless the operator has set them. It hides no GPU from a process that asks for none.
_ENVIRONMENT = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
}


@dataclass(frozen=True)
class ClusterPlan:
    """Where on a cluster the processes of a run are placed.

    name: Of the run; a later attempt has another one. address: Of the cluster's head; None: as Ray finds it.
    nodes: Machines over which the processes are spread evenly; None: as Ray chooses.
    cpus: Of each process. memory_bytes: Main memory of each process; None: any.
    """

    name: str
    address: str | None = None
    nodes: int | None = None
    device: Literal["cpu", "cuda"] = "cpu"  # a GPU for each process, or none
    cpus: int = 1
    memory_bytes: int | None = None
    silent_seconds: float = SILENT_SECONDS

    @property
    def use_gpu(self) -> bool:
        return self.device == "cuda"


def run_on_ray(job: TrainingJob, plan: ClusterPlan, hooks: Hooks) -> TrainingResult:
    """Trains a job's model as `app.training.run.run` does, in `processes` processes of a cluster.

    All machines of the cluster have the job's folders under the same paths. Call it from the main thread, on a machine
    of the cluster.

    Raises:
        AppError: As `run` does. NotReady: Ray is not installed, or no cluster answers.
        Stopped: The run was told to stop before its first step.
        Killed: A process or its machine was lost.
    """
    os.environ.update({name: value for name, value in _ENVIRONMENT.items() if name not in os.environ})
    ray, train = _import_ray()
    key = secrets.token_bytes(32)
    size, silent = job.hyperparameters.processes, plan.silent_seconds
    with (
        _connect_to_cluster(ray, plan.address) as host,
        RunServer(hooks, size, host, key, silent_seconds=silent) as server,
    ):
        work = {"job": _with_absolute_paths(job), "address": server.address, "key": key, "plan": plan}
        fitting = threading.Thread(target=_fit, args=(train, work, server.fail), name="fit", daemon=True)
        fitting.start()
        result: TrainingResult = server.wait()
        fitting.join(_CLOSE_SECONDS)
        return result


def _import_ray() -> tuple[Any, Any]:
    try:
        import ray
        import ray.train.torch
    except ImportError as e:
        raise NotReady(
            "CLOZE_TRAINER=ray needs Ray: install the extra `ray`, pip install 'cloze[ray]', on the machine of the"
            f" worker ({e})"
        ) from e
    return ray, ray.train


@contextmanager
def _connect_to_cluster(ray: Any, address: str | None) -> Iterator[str]:
    """Yields this machine's address within the cluster. The run's processes end with the context."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        ray.init(address=address or "auto", log_to_driver=True, logging_level="WARNING", include_dashboard=False)
    except (ConnectionError, ValueError) as e:
        raise NotReady(f"no Ray cluster answers at {address or 'the address of this machine'}: {e}") from e
    finally:  # Ray's handler would end this process where SIGTERM asks it to hand the job back
        for number, handler in handlers.items():
            signal.signal(number, handler)
    try:
        yield ray.util.get_node_ip_address()
    finally:
        ray.shutdown()


def _fit(train: Any, work: Mapping[str, Any], fail: Callable[[BaseException], None]) -> None:
    """Has Ray run the processes once, and reports how that failed."""
    try:
        _make_trainer(train, work).fit()
    except train.TrainingFailedError as e:  # of a process that has told its error itself, or that was lost
        fail(Killed(f"Ray ended the training processes: {type(e).__name__}: {e}"))
    except SystemExit:  # by which Ray ends what waits for it when its connection closes
        fail(Killed("the connection to the Ray cluster closed"))
    except Exception as e:
        fail(e)


def _make_trainer(train: Any, work: Mapping[str, Any]) -> Any:
    job, plan = work["job"], work["plan"]
    resources: dict[str, float] = {"CPU": plan.cpus}
    if plan.use_gpu:
        resources["GPU"] = 1
    if plan.memory_bytes:
        resources["memory"] = plan.memory_bytes
    return train.torch.TorchTrainer(
        _work,
        train_loop_config=dict(work),
        torch_config=train.torch.TorchConfig(
            backend="cpu:gloo,cuda:nccl" if plan.use_gpu else "gloo", timeout_s=int(TIMEOUT.total_seconds())
        ),
        scaling_config=train.ScalingConfig(
            num_workers=job.hyperparameters.processes,
            use_gpu=plan.use_gpu,
            resources_per_worker=resources,
            placement_strategy=_placement(plan.nodes, job.hyperparameters.processes),
        ),
        run_config=train.RunConfig(
            name=plan.name,
            storage_path=str(job.run_dir / "ray"),
            failure_config=train.FailureConfig(max_failures=0),  # attempts are Cloze's
        ),
    )


def _placement(nodes: int | None, processes: int) -> str:
    if nodes == 1:
        return "STRICT_PACK"
    if nodes == processes:
        return "STRICT_SPREAD"
    return "PACK" if nodes is None else "SPREAD"


def _work(given: Mapping[str, Any]) -> None:
    """The work of one process. Ray calls it when the process group is connected."""
    import ray.train

    context = ray.train.get_context()
    group = ProcessGroup(
        dist.get_rank(),
        dist.get_world_size(),
        local_rank=context.get_local_rank(),
        local_size=context.get_local_world_size(),
    )
    job, address, key, plan = given["job"], given["address"], given["key"], given["plan"]
    job = replace(job, device=plan.device, threads=plan.cpus * group.local_size)

    def train() -> TrainingResult | None:
        if not group.is_main:
            run_in_group(job, SilentHooks(), group)
            return None
        with connect_hooks(address, key) as hooks:
            return run_in_group(job, hooks, group)

    report_life(address, key, group.rank, train, silent_seconds=plan.silent_seconds)


def _with_absolute_paths(job: TrainingJob) -> TrainingJob:
    """Returns the job for a process that has another working directory."""

    def files(given: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(replace(file, path=file.path.absolute()) for file in given)

    return replace(
        job,
        model=job.model.absolute() if isinstance(job.model, Path) else job.model,
        training_files=files(job.training_files),
        validation_files=files(job.validation_files),
        run_dir=job.run_dir.absolute(),
        cache_dir=job.cache_dir.absolute(),
        model_folders={name: folder.absolute() for name, folder in job.model_folders.items()},
    )
