"""Runs on a cluster of two nodes, which are processes of this machine."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from app.training.hooks import Killed
from app.training.job import TrainingJob
from app.training.run import run
from tests.fakes.runs import Recorder, same, weights

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


def test_two_nodes_equal_one_process_and_the_loss_of_one_is_made_good(
    job: Callable[..., TrainingJob], cluster: Cluster
) -> None:
    def train(name: str, attempt: int, hooks: Recorder) -> Any:
        plan = ClusterPlan(f"{name}-{attempt}", cluster.address, nodes=2)
        return run_on_ray(job(name, processes=2, **OPTIONS), plan, hooks)

    alone = run(job("one", **OPTIONS), Recorder())
    hooks = Recorder()
    both = train("two", 1, hooks)
    for key, value in weights(alone).items():
        np.testing.assert_allclose(value, weights(both)[key], atol=1e-4, err_msg=key)
    assert hooks.checkpoints == [3, 6]

    with pytest.raises(Killed):
        train("killed", 1, NodeKiller(cluster, step=4))
    cluster.add_node(node_ip_address=OTHER, **NODE)
    again = train("killed", 2, Recorder())
    assert same(again, both)
