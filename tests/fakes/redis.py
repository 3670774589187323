"""A real, private redis-server for tests: `redis` is a client of one that is empty.

Use as `from tests.fakes.redis import redis, redis_server  # noqa: F401` in a conftest.py.
"""

import os
import signal
from collections.abc import Iterator

import pytest

from app.jobs.connection import Client, EmbeddedRedis, connect
from tests.fakes.cloze import wait_until


def kill_redis(server: EmbeddedRedis) -> int:
    """Kills the process of the server, and returns its id once it has ended."""
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not server.alive)
    return pid


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis(tmp_path_factory.mktemp("var")) as server:
        with connect(server.url) as client:
            client.config_set("appendfsync", "no")  # the machine stays up, and each write would wait for the disk
        yield server


@pytest.fixture
def redis(redis_server: EmbeddedRedis) -> Iterator[Client]:
    with connect(redis_server.url) as client:
        client.flushall()
        yield client
