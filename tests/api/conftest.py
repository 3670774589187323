"""The whole application on fake models; with a real Redis where a test asks for `jobs_api`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.access.build import Access, build_access
from app.jobs.connection import Client, EmbeddedRedis
from app.jobs.feed import EventFeed
from app.jobs.files import FileStore
from app.main import create_app
from app.settings import Settings
from app.store.manifest import Manifest
from app.store.store import ModelStore
from app.types import ModalityName, Task
from tests.fakes.jobs import JobSystem
from tests.fakes.objective import FakeObjective
from tests.fakes.pools import _pools, servers_share_processes  # noqa: F401
from tests.fakes.redis import redis, redis_server  # noqa: F401

FULL, BARE, SLASHED = "full", "bare", "org/slashed"
TASKS = {FULL: (Task.FILL_MASK, Task.SCORE, Task.EMBED), BARE: (Task.EMBED,), SLASHED: (Task.FILL_MASK, Task.EMBED)}

Fakes = dict[str, FakeObjective]
MakeClient = Callable[..., TestClient]
MakeKey = Callable[..., dict[str, str]]
OPERATOR = {"authorization": "Bearer operator-key"}  # headers


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    store = ModelStore(tmp_path / "models")
    for name in TASKS:
        publish(store, tmp_path, name)
    return store


def publish(store: ModelStore, tmp_path: Path, name: str, **changes: Any) -> None:
    folder = tmp_path / "weights"
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_bytes(b"none")
    values = {
        "modality": ModalityName.TEXT,
        "architecture": "fake",
        "tasks": TASKS.get(name, TASKS[FULL]),
        "parameters": 2,
    }
    store.publish(folder, Manifest(**{**values, **changes}), name=name)


@pytest.fixture
def fakes() -> Fakes:
    """What is loaded for a model's name; made anew for every test."""
    return {name: FakeObjective(tasks) for name, tasks in TASKS.items()}


@pytest.fixture
def make_app(tmp_path: Path, store: ModelStore, fakes: Fakes) -> Callable[..., Any]:
    def load(path: Path) -> FakeObjective:
        name = path.parent.relative_to(store.root).as_posix()
        return fakes.setdefault(name, FakeObjective())

    def make(
        *,
        jobs: JobSystem | None = None,
        files: FileStore | None = None,
        feed: EventFeed | None = None,
        keys_at: str | None = None,
        load: Callable[[Path], FakeObjective] = load,
        **settings: Any,
    ) -> Any:
        values = {"var_dir": tmp_path / "var", "default_model": FULL, "device": "cpu", "threads": 1, **settings}
        chosen = Settings(**values)
        access = build_access(chosen, keys_at)
        return create_app(chosen, jobs=jobs, files=files, feed=feed, store=store, load=load, access=access)

    return make


@pytest.fixture
def make_client(make_app: Callable[..., Any]) -> Iterator[MakeClient]:
    """Clients of running applications; settings go in as keywords."""
    open_clients: list[TestClient] = []

    def make(**options: Any) -> TestClient:
        client = TestClient(make_app(**options))
        client.__enter__()
        open_clients.append(client)
        return client

    yield make
    for client in open_clients:
        client.__exit__(None, None, None)


@pytest.fixture
def client(make_client: MakeClient) -> TestClient:
    """Without Redis: inference alone."""
    return make_client()


@pytest.fixture
def files(redis: Client, tmp_path: Path) -> FileStore:  # noqa: F811
    return FileStore(redis, tmp_path / "var" / "files")


@pytest.fixture
def jobs(redis: Client) -> JobSystem:  # noqa: F811
    return JobSystem(redis)


@pytest.fixture
def feed(redis_server: EmbeddedRedis) -> EventFeed:  # noqa: F811
    return EventFeed(redis_server.url)


@pytest.fixture
def jobs_client(make_client: MakeClient, jobs: JobSystem, files: FileStore, feed: EventFeed) -> TestClient:
    """With files and jobs, and no worker."""
    return make_client(jobs=jobs, files=files, feed=feed)


@pytest.fixture
def keyed(
    make_client: Callable[..., TestClient],
    redis: Client,  # noqa: F811
    redis_server: EmbeddedRedis,  # noqa: F811
    jobs: JobSystem,
    files: FileStore,
    feed: EventFeed,
) -> TestClient:
    """A server with one key of the operator."""
    return make_client(jobs=jobs, files=files, feed=feed, keys_at=redis_server.url, api_keys=("operator-key",))


@pytest.fixture
def make_key(keyed: TestClient) -> MakeKey:
    """Makes keys, and returns their headers."""

    def make(*scopes: str, **body: Any) -> dict[str, str]:
        body = {"name": "client", "scopes": list(scopes), **body}
        answer = keyed.post("/v1/keys", json=body, headers=OPERATOR)
        assert answer.status_code == 200, answer.text
        refresh(keyed)
        return {"authorization": f"Bearer {answer.json()['key']}", "key-id": answer.json()["id"]}

    return make


def refresh(client: TestClient) -> None:
    """Has the server read the keys now, as it does twice a second."""
    access: Access = client.app.state.services.access  # type: ignore[attr-defined]
    assert client.portal is not None
    client.portal.call(access.guard.refresh)
