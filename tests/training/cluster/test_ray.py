"""Runs on a cluster of two nodes, which are processes of this machine."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from app.jobs.kinds import JobState, PretrainingSpec, Resources
from app.jobs.spec import Job
from app.methods import MlmHyperparameters
from app.training.hooks import Killed
from app.training.job import TrainingJob, TrainingResult
from app.training.run import run
from app.worker.attempt import AttemptRunner
from app.worker.train_job import execute
from tests.fakes.forks import FORKS
from tests.fakes.peers import accept
from tests.fakes.redis import redis, redis_server
from tests.fakes.runs import SMALL, Recorder, same, weights
from tests.fakes.tiny_models import CORPUS
from tests.worker.conftest import AllServices, services, settings

__all__ = ["redis", "redis_server", "services", "settings"]

ray = pytest.importorskip("ray", reason="needs the extra `ray`")
pytest.importorskip("ray.train", reason="needs the extra `ray`")

from ray.cluster_utils import Cluster  # noqa: E402

from app.training.cluster.ray_run import ClusterPlan, run_on_ray  # noqa: E402

pytestmark = pytest.mark.ray

OPTIONS = {"max_steps": 6, "checkpoint_interval": 3, "log_interval": 3}
HEAD, OTHER = "127.0.0.2", "127.0.0.3"  # loopback addresses that Ray does not replace by the machine's own
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    root = str(Path(__file__).parents[3])
    changes = {"PYTHONPATH": root, "GLOO_SOCKET_IFNAME": "lo", "RAY_USAGE_STATS_ENABLED": "0"}
    changes |= {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "OMP_NUM_THREADS": "1"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in changes.items():
            patch.setenv(name, value)
        started = Cluster()
        try:
            started.add_node(node_ip_address=HEAD, **NODE)
            started.add_node(node_ip_address=OTHER, **NODE)
            yield started
        finally:
            started.shutdown()


class NodeKiller(Recorder):
    """Hooks that kill a node of a cluster, and its processes, after a step."""

    def __init__(self, cluster: Cluster, step: int) -> None:
        super().__init__()
        self.cluster, self.last_step = cluster, step

    def on_progress(self, progress: Any) -> None:
        super().on_progress(progress)
        if progress.step == self.last_step:
            [node] = self.cluster.worker_nodes
            raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
            for process in (raylet, *raylet.children(recursive=True)):  # the machine's end, not Ray's alone
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            self.cluster.remove_node(node, allow_graceful=False)


def test_two_nodes_equal_one_machine_and_the_loss_of_one_is_made_good(
    job: Callable[..., TrainingJob], cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(attempt: int, hooks: Recorder) -> TrainingResult:
        plan = ClusterPlan(f"run-{attempt}", cluster.address, nodes=2)
        return run_on_ray(job("run", processes=2, **OPTIONS), plan, hooks)

    alone = run(job("one", **OPTIONS), Recorder())
    with monkeypatch.context() as patch:
        patch.setattr("app.training.loop.distributed.multiprocessing.get_context", lambda method: FORKS)
        undisturbed = run(replace(job("two", processes=2, **OPTIONS), bind=accept), Recorder())

    killer, hooks = NodeKiller(cluster, step=4), Recorder()
    with pytest.raises(Killed):
        train(1, killer)
    cluster.add_node(node_ip_address=OTHER, **NODE)
    resumed = train(2, hooks)
    assert (killer.checkpoints, hooks.checkpoints) == ([3], [6])
    assert same(resumed, undisturbed)
    for key, value in weights(alone).items():
        np.testing.assert_allclose(value, weights(resumed)[key], atol=1e-4, err_msg=key)


def test_a_job_waits_for_the_cluster_and_is_published(services: AllServices, cluster: Cluster) -> None:
    settings = services.settings.model_copy(update={"trainer": "ray", "ray_address": cluster.address})
    on_ray = replace(services, settings=settings)
    content = "\n".join(json.dumps({"text": text}) for text in CORPUS).encode()
    file = asyncio.run(services.files.create("a.jsonl", "fine-tune", [content], len(content)))
    spec = PretrainingSpec(
        model="bert-tiny",
        method="mlm",
        hyperparameters=MlmHyperparameters(**SMALL, max_steps=2, processes=2).model_dump(),
        training_files=(file.id,),
        resources=Resources(nodes=2, device="cpu"),
        name="tiny",
    )
    job = services.jobs.create(spec)

    def attempt() -> Job:
        claim = services.queue.claim("w1", 600)
        assert claim is not None
        if claim.attempt == 1:
            services.jobs.pause(job.id)
        AttemptRunner(on_ray, claim, lambda: False).run(execute)
        return services.jobs.get(job.id)

    assert attempt().state is JobState.PAUSED
    services.jobs.resume(job.id)
    ended = attempt()
    assert (ended.state, ended.result_model) == (JobState.SUCCEEDED, "tiny@1"), ended.error
    assert (ended.progress.step, ended.attempt) == (2, 2)
