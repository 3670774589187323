"""Runs a training job on a Ray cluster. Ray places and connects the processes; attempts and resumption stay Cloze's.

Ray is imported when a run begins: it is the optional extra `ray`.
"""

import logging
import multiprocessing
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

import torch.distributed as dist

from app.errors import NotReady
from app.training.cluster.client import connect_hooks, report_life
from app.training.cluster.messages import SILENT_SECONDS, portable
from app.training.cluster.server import RunServer
from app.training.cluster.waiting import wait_for_cluster
from app.training.hooks import Hooks, Killed, Stopped
from app.training.job import TrainingJob, TrainingResult
from app.training.loop.distributed import TIMEOUT, ProcessGroup, SilentHooks
from app.training.run import run_in_group

_CLOSE_SECONDS = 20.0  # for Ray to end a run whose processes have ended
_POLL_SECONDS = 1.0
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
    if find_spec("ray") is None:
        raise NotReady("CLOZE_TRAINER=ray needs Ray: install the extra `ray`, pip install 'cloze[ray]'")
    if plan.address:
        wait_for_cluster(plan.address, hooks)
    job, key = _with_absolute_paths(job), secrets.token_bytes(32)
    with _start_driver(plan, job) as (driver, connection):
        host = _wait_for_driver(connection, hooks)
        size, silent = job.hyperparameters.processes, plan.silent_seconds
        with RunServer(hooks, size, host, key, silent_seconds=silent) as server:
            connection.send({"job": job, "address": server.address, "key": key, "plan": plan})
            threading.Thread(target=_watch, args=(connection, server.fail), name="driver", daemon=True).start()
            result: TrainingResult = server.wait()
            driver.join(_CLOSE_SECONDS)
            return result


@contextmanager
def _start_driver(plan: ClusterPlan, job: TrainingJob) -> Iterator[tuple[BaseProcess, Connection]]:
    """Starts Ray's driver in a process of its own, and yields it with a connection to it.

    When it is killed, Ray ends all that it has started. Within this process Ray could not be stopped while it waits,
    and would set handlers of signals.
    """
    context = multiprocessing.get_context("spawn")  # a fork is not safe after torch has started threads
    own, other = context.Pipe()
    driver = context.Process(target=_drive, args=(other, plan.address, job.bind, os.getpid()), daemon=True)
    driver.start()
    other.close()
    try:
        yield driver, own
    finally:
        driver.kill()
        driver.join()
        own.close()


def _wait_for_driver(connection: Connection, hooks: Hooks) -> str:
    """Returns this machine's address within the cluster, once the driver knows it."""
    while not connection.poll(_POLL_SECONDS):
        if reason := hooks.should_stop():
            raise Stopped(reason)
    try:
        found = connection.recv()
    except EOFError as e:
        raise Killed("the driver of Ray ended early") from e
    if isinstance(found, BaseException):
        raise found
    return str(found)


def _watch(connection: Connection, fail: Callable[[BaseException], None]) -> None:
    """Reports how the driver failed."""
    try:
        error = connection.recv()
    except (EOFError, OSError):
        error = Killed("the driver of Ray ended early")
    if error is not None:
        fail(error)


def _drive(connection: Connection, address: str | None, bind: Callable[[int], None], parent: int) -> None:
    """The work of the driver: joins the cluster, then has it run the processes once."""
    bind(parent)
    os.environ.update({name: value for name, value in _ENVIRONMENT.items() if name not in os.environ})
    try:
        import ray
        import ray.train.torch

        cluster: Any = ray
        cluster.init(
            address=address or "auto", log_to_driver=True, logging_level=logging.WARNING, include_dashboard=False
        )
    except ImportError as e:
        connection.send(NotReady(f"CLOZE_TRAINER=ray needs all of the extra `ray`, pip install 'cloze[ray]': {e}"))
    except (ConnectionError, ValueError) as e:
        connection.send(NotReady(f"no Ray cluster answers at {address or 'the address of this machine'}: {e}"))
    else:
        connection.send(cluster.util.get_node_ip_address())
        connection.send(_fit(ray.train, connection.recv()))


def _fit(train: Any, work: Mapping[str, Any]) -> BaseException | None:
    """Has Ray run the processes, and returns why that failed."""
    try:
        _make_trainer(train, work).fit()
    except train.TrainingFailedError as e:  # of a process that has told its error itself, or that was lost
        return Killed(f"Ray ended the training processes: {type(e).__name__}: {e}")
    except Exception as e:
        return portable(e)
    return None


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
