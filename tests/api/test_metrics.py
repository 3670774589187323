"""The metrics: every one is documented, has a proper name, and says what is so."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from app.api.gauges import MachineCollector
from app.api.job_gauges import JobsCollector
from app.jobs.connection import Client, StorageError
from app.jobs.feed import EventFeed
from app.jobs.files import FileStore
from app.jobs.spec import Progress
from app.jobs.workers import Capabilities, MachineUse, WorkerInfo, WorkerRegistry
from app.serving.gpu_use import GpuUse
from app.system.disk_space import DiskReserve
from app.worker.machine import measure_use
from tests.api.conftest import FULL, MakeClient
from tests.fakes.jobs import JobSystem, make_spec
from tests.fakes.objective import MASK

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
ROW = re.compile(r"^\| `((?:cloze|process)_\w+)` \| (\w+) \|([^|]*)\|", re.MULTILINE)

Families = dict[str, Any]


def parse(text: str) -> Families:
    """The families of an exposition by name, counters with their `_total`."""
    families = {each.name + "_total" * (each.type == "counter"): each for each in text_string_to_metric_families(text)}
    assert len(families) == text.count("# TYPE ")
    return families


def values(families: Families, name: str) -> dict[str, float]:
    """The samples of a family with one label, by its value; with none, by the empty text."""
    return {"".join(sample.labels.values()): sample.value for sample in families[name].samples}


@pytest.fixture
def families(
    make_client: MakeClient, jobs: JobSystem, files: FileStore, feed: EventFeed, redis: Client, tmp_path: Path
) -> Families:
    """All metrics of a server with a cache, a running job, a waiting one, a worker and a GPU."""
    client = make_client(jobs=jobs, files=files, feed=feed, cache="memory")
    client.post("/v1/fill-mask", json={"input": MASK})
    client.post("/v1/fill-mask", json={"input": "no mask"})
    running, _ = jobs.create(make_spec(redis)), jobs.create(make_spec(redis))
    claim = jobs.queue.claim("w", 60.0, Capabilities())
    assert claim is not None
    progress = Progress(percent=25, step=10, tokens=1000, tokens_per_second=50.0)
    jobs.queue.set_progress(claim, progress)
    jobs.queue.append_event(claim, "Step 10", type="metrics", data={"step": 10, "train_loss": 2.5})
    use = MachineUse(memory_bytes=8, memory_available_bytes=4, disk_bytes=100, disk_free_bytes=50)
    info = WorkerInfo(id="w", host="h", machine="m", pid=1, birth="1", started_at=1.0, job_id=running.id, use=use)
    WorkerRegistry(redis).beat(info)
    return parse(client.get("/metrics").text) | parse(_render_gpu(tmp_path))


def _render_gpu(tmp_path: Path) -> str:
    registry = CollectorRegistry()
    reserve = DiskReserve(tmp_path, 5)
    registry.register(MachineCollector({"var_dir": tmp_path}, reserve, lambda: [GpuUse("cuda:0", 80, 20, 0.5)]))
    return generate_latest(registry).decode()


def test_every_metric_is_documented(families: Families) -> None:
    documented = {
        name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in ROW.findall(PAGE.read_text())
    }
    there = {name: (each.type, _labels(each)) for name, each in families.items()}
    assert there == documented


def _labels(family: Any) -> set[str]:
    assert family.samples, f"{family.name} has no sample in this test"
    return {label for sample in family.samples for label in sample.labels} - {"le"}


def test_names_tell_units(families: Families) -> None:
    def faults() -> Iterator[str]:
        for name, family in families.items():
            if not family.documentation:
                yield f"{name} has no help"
            if re.search(r"_(ms|milliseconds|minutes|mb|megabytes|gb|percent|percentage)(_|$)", name):
                yield f"{name} is not in a base unit"
            if name.endswith("_ratio") and not all(0 <= sample.value <= 1 for sample in family.samples):
                yield f"{name} is no ratio"
            if family.type == "gauge" and name.endswith(("_total", "_count", "_sum", "_bucket")):
                yield f"{name} has the ending of another type"
            if {"job", "instance"} & _labels(family):
                yield f"{name} has a label that Prometheus sets itself"

    assert not list(faults())


def test_jobs_workers_and_redis_are_measured(families: Families) -> None:
    assert values(families, "cloze_jobs")["queued"] == values(families, "cloze_jobs")["running"] == 1
    assert values(families, "cloze_jobs_waiting") == {"pretraining": 1, "import": 0, "evaluation": 0, "sweep": 0}
    assert values(families, "cloze_workers") == {"idle": 0, "busy": 1, "draining": 0}
    assert values(families, "cloze_worker_disk_free_bytes") == {"w": 50}
    assert values(families, "cloze_redis_up") == {"": 1}
    assert values(families, "cloze_redis_memory_bytes")[""] > 100_000
    assert list(values(families, "cloze_training_loss").values()) == [2.5]
    assert list(values(families, "cloze_training_progress_ratio").values()) == [0.25]
    assert list(values(families, "cloze_training_steps_per_second").values()) == [0.5]
    assert values(families, "cloze_cache_failures_total") == {"": 0}
    assert set(values(families, "cloze_model_weight_bytes")) == {f"{FULL}@1"}
    assert values(families, "cloze_gpu_utilization_ratio") == {"cuda:0": 0.5}
    assert values(families, "cloze_disk_reserve_bytes") == {"": 5}
    assert values(families, "process_resident_memory_bytes")[""] > 1e6


def test_without_redis_a_scrape_says_so(client: TestClient) -> None:
    class Away:
        def read(self) -> Any:
            raise StorageError("refused")

    assert "cloze_redis_up" not in client.get("/metrics").text  # this server has none
    registry = CollectorRegistry()
    registry.register(JobsCollector(Away()))
    assert list(parse(generate_latest(registry).decode())) == ["cloze_redis_up"]
    assert registry.get_sample_value("cloze_redis_up") == 0


def test_unknown_methods_and_paths_make_no_series_of_their_own(client: TestClient) -> None:
    for method in ("BREW", "WHEN"):
        client.request(method, "/v1/fill-mask")
        client.request(method, f"/{method}")
    labels = [sample.labels for sample in parse(client.get("/metrics").text)["cloze_requests_total"].samples]
    assert {each["method"] for each in labels} <= {"other", "unmatched"}


def test_a_worker_measures_its_machine(tmp_path: Path) -> None:
    use = measure_use(tmp_path / "none" / "yet")
    assert use is not None
    assert 0 < use.memory_available_bytes < use.memory_bytes
    assert 0 < use.disk_free_bytes < use.disk_bytes
