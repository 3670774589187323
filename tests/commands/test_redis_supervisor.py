"""A real redis-server that dies, cannot start or has no disk space, under a clock that the test moves."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from app.commands.redis_supervisor import RedisSupervisor
from app.jobs.connection import EmbeddedRedis, connect
from app.system.disk_space import Ballast
from tests.fakes.clock import Clock
from tests.fakes.redis import kill_redis

MIB = 2**20
PATIENCE = 60.0  # seconds, on a busy machine


class Usage(NamedTuple):
    total: int
    free: int


class Disk:
    """The space that the supervisor sees."""

    def __init__(self) -> None:
        self.free = 100 * MIB

    def usage(self, folder: Path) -> Usage:
        return Usage(64 * MIB, self.free)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis(tmp_path)
    server.acquire()
    yield server
    server.stop()


@pytest.fixture
def supervisor(server: EmbeddedRedis, clock: Clock, disk: Disk) -> RedisSupervisor:
    return RedisSupervisor(server, ballast=Ballast(server.folder / "ballast", usage=disk.usage), clock=clock)


def wait_until_it_answers(supervisor: RedisSupervisor, server: EmbeddedRedis) -> None:
    deadline = time.monotonic() + PATIENCE
    while not server.answers():
        assert server.alive and time.monotonic() < deadline, server.last_words()
        time.sleep(0.01)
    supervisor.check()


def test_a_dead_redis_is_started_again_with_its_data(
    supervisor: RedisSupervisor, server: EmbeddedRedis, clock: Clock
) -> None:
    supervisor.start()
    url = server.url
    connect(url).set("key", "value")
    pauses = []
    for lifetime in (1.0, 1.0, 1.0, 3600.0):
        clock.now += lifetime
        kill_redis(server)
        supervisor.check()
        died = clock.now
        while not server.alive:
            clock.now += 0.25
            supervisor.check()
        pauses.append(clock.now - died)
        wait_until_it_answers(supervisor, server)
    assert pauses == [0.5, 1.0, 2.0, 0.5]
    assert server.url == url
    assert connect(url).get("key") == b"value"


def test_a_damaged_file_is_named_and_tried_again(
    supervisor: RedisSupervisor, server: EmbeddedRedis, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    file = server.folder / "appendonly.aof"
    command = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n"
    file.write_bytes(command + b"rubbish\r\n" + command)
    supervisor.start()
    assert not server.alive
    assert f"The file {file} is damaged in its middle" in caplog.text
    assert "redis-check-aof --fix" in caplog.text and "Inference continues" in caplog.text
    file.write_bytes(command + command[:-4])  # a command cut off at the end is dropped by Redis itself
    clock.now += 1.0
    supervisor.check()
    wait_until_it_answers(supervisor, server)
    assert connect(server.url).get("a") == b"b"


def test_a_full_disk_is_waited_for(
    supervisor: RedisSupervisor, server: EmbeddedRedis, clock: Clock, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor.start()
    ballast = server.folder / "ballast"
    assert ballast.stat().st_size == MIB
    kill_redis(server)
    disk.free = 0
    for _ in range(5):
        supervisor.check()
        clock.now += 10.0
    assert not server.alive and not ballast.exists()
    assert caplog.text.count("is full") == 1
    disk.free = MIB  # as when the ballast has made room, or somebody else
    supervisor.check()
    wait_until_it_answers(supervisor, server)
    assert not ballast.exists()
    disk.free = 100 * MIB
    supervisor.check()
    assert ballast.exists()


def test_a_redis_that_is_not_installed_is_tried_again(
    supervisor: RedisSupervisor,
    server: EmbeddedRedis,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "")
        patch.setattr("app.jobs.connection.importlib.util.find_spec", lambda name: None)
        supervisor.start()
        assert not server.alive
    assert "apt-get install redis-server" in caplog.text
    clock.now += 1.0
    supervisor.check()
    wait_until_it_answers(supervisor, server)
