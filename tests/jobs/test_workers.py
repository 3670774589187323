from app.jobs.connection import Client
from app.jobs.workers import WorkerInfo, WorkerRegistry


def test_workers_are_listed_while_they_beat(redis: Client) -> None:
    registry = WorkerRegistry(redis)
    old = WorkerInfo(id="old", host="h", machine="m", pid=1, birth="1", started_at=1.0)
    registry.beat(old.model_copy(update={"id": "new", "started_at": 2.0, "job_id": "ftjob-1"}))
    registry.beat(old)
    registry.beat(old.model_copy(update={"id": "dead", "ttl": -1.0}))
    assert [(w.id, w.job_id) for w in registry.list()] == [("old", None), ("new", "ftjob-1")]
    assert [w.id for w in registry.list()] == ["old", "new"]
    assert registry.list()[0].last_seen > 1e9
    registry.remove("old")
    assert [w.id for w in registry.list()] == ["new"]
