import os
import select
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from app.errors import Conflict, NotReady
from app.jobs.connection import EmbeddedRedis, connect, find_url
from tests.fakes.redis import kill_redis


def test_what_was_written_survives_a_kill(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        connect(server.url).set("key", "value")
        kill_redis(server)
        assert not server.alive
    with EmbeddedRedis(tmp_path) as server:
        assert connect(server.url).get("key") == b"value"


def test_the_socket_is_private_and_no_port_is_open(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        config = connect(server.url).config_get("*")
        assert config["port"] == "0" and config["appendfsync"] == "always"
        assert stat.S_IMODE(os.stat(config["unixsocket"]).st_mode) == 0o700


def test_a_second_server_on_the_folder_is_refused(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        with pytest.raises(Conflict, match=rf"process {os.getpid()}\) already uses"):
            EmbeddedRedis(tmp_path).start()
        assert server.alive and find_url(None, tmp_path) == server.url
    with EmbeddedRedis(tmp_path):
        pass


def test_a_long_path_gets_a_short_socket(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / ("d" * 120)) as server:
        assert connect(server.url).ping()
        folder = Path(server.url.removeprefix("unix://")).parent
        assert folder.exists() and not folder.is_relative_to(tmp_path / ("d" * 120))
    assert not folder.exists()


def test_the_address_of_a_server_that_does_not_run(tmp_path: Path) -> None:
    assert find_url("redis://elsewhere", tmp_path) == "redis://elsewhere"
    with pytest.raises(NotReady, match="CLOZE_REDIS_URL"):
        find_url(None, tmp_path)


def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from app.jobs.connection import EmbeddedRedis\n"
        "server = EmbeddedRedis(Path(sys.argv[1])); server.start()\n"
        "print(server.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    server = os.pidfd_open(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    assert select.select([server], [], [], 60)[0] == [server]
    os.close(server)


def test_where_no_redis_server_is_found_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.jobs.connection.shutil.which", lambda name: None)
    monkeypatch.setattr("app.jobs.connection.importlib.util.find_spec", lambda name: None)
    with pytest.raises(NotReady, match=r"apt-get install redis-server.*CLOZE_REDIS_URL"), EmbeddedRedis(tmp_path):
        pass
