"""What a run does while there is no cluster."""

import socket
import sys
from collections.abc import Callable

import pytest

from app.errors import InvalidValue, NotReady
from app.training.cluster.ray_run import ClusterPlan, run_on_ray
from app.training.cluster.waiting import wait_for_cluster
from app.training.hooks import Stopped
from app.training.job import TrainingJob
from tests.fakes.runs import Recorder


def test_a_run_waits_until_the_cluster_answers() -> None:
    hooks = Recorder()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))  # and does not listen yet
        address = f"127.0.0.1:{server.getsockname()[1]}"
        wait_for_cluster(address, hooks, pause=lambda seconds: server.listen())
        wait_for_cluster(address, hooks)
    assert [message for message, _ in hooks.events] == [f"No Ray cluster answers at {address}. The job waits for it"]


def test_a_run_that_waits_for_the_cluster_can_be_stopped() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        with pytest.raises(Stopped, match="cancel"):
            wait_for_cluster(f"127.0.0.1:{server.getsockname()[1]}", Recorder(stop_at=0))


@pytest.mark.parametrize("address", ["head", "ray://head:10001x", ":6379", "head:"])
def test_an_address_has_a_host_and_a_port(address: str) -> None:
    with pytest.raises(InvalidValue, match="HOST:PORT"):
        wait_for_cluster(address, Recorder())


def test_a_run_without_ray_names_the_extra(job: Callable[..., TrainingJob], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(NotReady, match=r"pip install 'cloze\[ray\]'"):
        run_on_ray(job(), ClusterPlan("run"), Recorder())
