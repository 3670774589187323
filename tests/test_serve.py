"""`cloze serve` for real: Redis, worker, API, a job and the end of all of them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.store.store import ModelStore
from tests.fakes.cloze import PATIENCE, ROOT, Server, descendants, is_running, server_environment, wait_until
from tests.fakes.http import http
from tests.fakes.imports import import_folder
from tests.fakes.tiny_models import tiny_bert_folder


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Callable[[], Server]]:
    servers: list[Server] = []

    def start() -> Server:
        servers.append(Server(tmp_path))
        return servers[-1]

    yield start
    for each in servers:
        each.process.kill()
        each.process.wait()


def test_serve_predict_pretrain_and_stop(server: Callable[[], Server], tmp_path: Path) -> None:

    folder = tiny_bert_folder(tmp_path / "tiny")
    import_folder(ModelStore(tmp_path / "store"), folder, "tiny")
    running = server()
    url = running.wait_for(r"Listening on (http://127\.0\.0\.1:\d+)\n")[1]
    curl = running.wait_for(r"tiny@1 is ready\. Try:\n  (curl .*)\n")[1]
    answer = json.loads(subprocess.run(curl, shell=True, capture_output=True, check=True).stdout)
    assert len(answer["data"][0]["masks"][0]["candidates"]) == 5

    refused = server()
    assert refused.process.wait(PATIENCE) == 1
    refused.wait_for(rf"^cloze: another Cloze server \(process {running.process.pid}\) already uses the data folder")

    running.environment["CLOZE_URL"] = url
    text = tmp_path / "text.txt"
    text.write_text("".join(f"The lions chase {n} zebras in the savanna.\n\n" for n in range(200)))
    options = ["--max-steps=4", "--set=batch_tokens=256", "--set=sequence_length=32", "--set=vocab_size=150"]
    trained = running.cloze("pretrain", str(text), "--model", "bert-tiny", "--name", "mine", *options, "--watch")
    assert trained.returncode == 0, trained.stdout
    assert trained.stdout.endswith("mine@1 is published and served.\n")
    assert "Step 4: training loss" in trained.stdout
    [job] = json.loads(running.cloze("jobs", "list", "--json").stdout)
    assert (job["status"], job["fine_tuned_model"]) == ("succeeded", "mine@1")
    assert json.loads(running.cloze("predict", "The [MASK].", "-m", "mine", "--json").stdout)["model"] == "mine@1"

    for folder in ("files", "jobs", "cache"):
        assert (tmp_path / "var" / folder).stat().st_mode & 0o007 == 0
    children = descendants(running.process.pid)
    assert len(children) >= 2  # redis-server and a worker
    assert running.stop() == 0, running.output
    # The kernel kills the processes that check files when the server ends, which frees their memory first.
    wait_until(lambda: not any(map(is_running, children)))


def test_a_server_without_keys_is_not_opened_to_others_by_accident(tmp_path: Path) -> None:
    environment = {**os.environ, "CLOZE_VAR_DIR": str(tmp_path / "var"), "CLOZE_HOST": "0.0.0.0"}
    command = [sys.executable, "-m", "app.cli", "serve"]
    ended = subprocess.run(command, cwd=ROOT, env=environment, timeout=PATIENCE, capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr.startswith("cloze: CLOZE_HOST=0.0.0.0 opens the server to other machines")
    assert not (tmp_path / "var").exists()


# A start without the seconds of importing torch: a SIGTERM comes to a finaliser during the import of the application,
# and the finaliser swallows what the signal raises.
SWALLOWING = """
import os, signal, sys
from importlib.machinery import ModuleSpec
from types import SimpleNamespace
class Finalised:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        while True:
            pass
class Application:
    def find_spec(self, name, path=None, target=None):
        return ModuleSpec(name, self) if name == "app.main" else None
    def create_module(self, spec):
        Finalised()
    def exec_module(self, module):
        services = SimpleNamespace(warm_up_error=None)
        module.create_app = lambda settings: SimpleNamespace(state=SimpleNamespace(services=services))
sys.meta_path.insert(0, Application())
from app.cli import main
sys.argv = ["cloze", "serve"]
main()
"""


def test_a_start_is_interrupted_whatever_it_is_at(tmp_path: Path) -> None:
    environment = server_environment(tmp_path)
    command = [sys.executable, "-c", SWALLOWING]
    ended = subprocess.run(command, cwd=ROOT, env=environment, timeout=PATIENCE, capture_output=True, text=True)
    assert ended.returncode != 0
    assert "Traceback" not in ended.stderr


def test_a_dead_worker_is_replaced_and_none_outlives_a_killed_server(server: Callable[[], Server]) -> None:
    running = server()
    running.wait_for("The model store is empty")
    before = descendants(running.process.pid)
    [worker] = [pid for pid in before if b"app.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(worker, signal.SIGKILL)
    running.wait_for("a worker ended with status -9; restarting it")
    wait_until(lambda: len(descendants(running.process.pid) - before) == 1)

    children = descendants(running.process.pid)
    running.process.kill()
    wait_until(lambda: not any(map(is_running, children)))

    again = server()  # nothing of the killed one is in the way, and a start can be interrupted
    again.wait_for("is starting")
    children = descendants(again.process.pid)
    again.process.terminate()
    again.process.wait(PATIENCE)
    wait_until(lambda: not any(map(is_running, children)))  # a worker just begun ends by itself, a moment later
    assert "Traceback" not in again.output


def test_it_serves_without_its_redis_and_finds_it_again(server: Callable[[], Server], tmp_path: Path) -> None:
    file = tmp_path / "var" / "redis" / "appendonly.aof"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"*1\r\nrubbish\r\n*1\r\n")
    running = server()
    url = running.wait_for(r"Listening on (http://127\.0\.0\.1:\d+)\n")[1]
    running.wait_for(r"ERROR.*appendonly\.aof is damaged in its middle.*Inference continues")
    assert http.get(f"{url}/health").status_code == 200
    unavailable = http.get(f"{url}/v1/files")
    assert (unavailable.status_code, unavailable.json()["error"]["code"]) == (503, "not_ready")

    file.unlink()
    wait_until(lambda: http.get(f"{url}/v1/files").status_code == 200)
    [redis] = [pid for pid in descendants(running.process.pid) if b"redis-server" in command_line(pid)]
    os.kill(redis, signal.SIGKILL)
    running.wait_for("redis-server has ended")
    wait_until(lambda: http.get(f"{url}/v1/files").status_code == 200)
    assert running.stop() == 0
    assert "Traceback" not in running.output


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


# `cloze serve` with three routes that take for ever: on a thread of the request, of an executor and of the event loop.
ENDLESS = """
import asyncio, concurrent.futures, sys, time
from app.api.routes import system
executor = concurrent.futures.ThreadPoolExecutor(1)
def endless(name):
    sys.stdout.write(f"begun {name}\\n")  # in one piece: threads print at once
    sys.stdout.flush()
    time.sleep(100_000)
@system.router.get("/thread")
def on_a_thread():
    endless("thread")
@system.router.get("/executor")
async def in_an_executor():
    await asyncio.get_running_loop().run_in_executor(executor, endless, "executor")
@system.router.get("/loop")
async def in_the_loops_own():
    await asyncio.to_thread(endless, "loop")
from app.cli import main
from tests.fakes.http import http
sys.argv = ["cloze", "serve"]
main()
"""


def test_a_stop_does_not_wait_for_threads(tmp_path: Path) -> None:
    running = Server(tmp_path, command=[sys.executable, "-c", ENDLESS], environment={"CLOZE_STOP_SECONDS": "0.3"})
    try:
        url = running.wait_for(r"Listening on (http://127\.0\.0\.1:\d+)\n")[1]
        running.wait_for("The model store is empty")
        with ThreadPoolExecutor() as clients:
            answers = [clients.submit(http.get, f"{url}/{name}", timeout=PATIENCE) for name in ENDLESS_ROUTES]
            for name in ENDLESS_ROUTES:
                running.wait_for(f"begun {name}")
            assert running.stop() == 0, running.output
        for answer in answers:
            assert answer.result().status_code == 503
            assert answer.result().json()["error"]["message"] == "the server is shutting down"
            assert answer.result().headers["x-request-id"]
        assert "Traceback" not in running.output
    finally:
        running.process.kill()
        running.process.wait()


ENDLESS_ROUTES = ("thread", "executor", "loop")
