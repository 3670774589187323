"""Fills the disk under CLOZE_VAR_DIR, and that of the model store, while another user sends fill-mask requests.

Run as root, since it mounts two small tmpfs:

    python -m benchmarks.adversary.full_disk

Right: uploads and new jobs answer 507, inference goes on, a file can be deleted through the API, and all recovers
when space returns, without a restart. A server that starts on a full disk serves inference. The publication of a
checkpoint into a full store answers 507 and leaves nothing behind.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from benchmarks.adversary.common import ROOT, Neighbour, Server

MIB = 2**20
PATIENCE = 60.0  # seconds
SHORT = {"max_steps": 4, "checkpoint_interval": 2, "batch_tokens": 256, "sequence_length": 32, "vocab_size": 300}
TEXT = "\n\n".join(f"The lions {n} chase the zebras in the savanna" for n in range(300)).encode()


@contextlib.contextmanager
def small_disk(size: int) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="cloze-disk-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=False)
        folder.rmdir()


def free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def fill(folder: Path, leave: int = 0) -> Path:
    """Writes a file that takes all of the disk's free space but `leave` bytes."""
    filler = folder / "filler"
    with contextlib.suppress(OSError), filler.open("ab", buffering=0) as out:
        while free(folder) > leave:
            out.write(b"x" * min(MIB, max(1, free(folder) - leave)))
    return filler


def status(call: Callable[[], httpx.Response]) -> str:
    try:
        answer = call()
    except httpx.TransportError as error:
        return type(error).__name__
    code = "" if answer.is_success else f" {answer.json()['error']['code']}"
    return f"{answer.status_code}{code}"


def upload(server: Server, content: bytes) -> Callable[[], httpx.Response]:
    form: dict[str, Any] = {"data": {"purpose": "fine-tune"}, "files": {"file": ("a.txt", content)}}
    return lambda: httpx.post(f"{server.url}/v1/files", timeout=60, **form)


def create(server: Server, file_id: str, **more: Any) -> Callable[[], httpx.Response]:
    body = {"model": "bert-tiny", "training_file": file_id, "hyperparameters": SHORT, **more}
    return lambda: httpx.post(f"{server.url}/v1/pretraining/jobs", json=body, timeout=60)


def delete_file(server: Server, file_id: str) -> Callable[[], httpx.Response]:
    return lambda: httpx.delete(f"{server.url}/v1/files/{file_id}", timeout=60)


def seconds_until(condition: Callable[[], bool], patience: float = PATIENCE) -> str:
    started = time.monotonic()
    while time.monotonic() - started < patience:
        if condition():
            return f"{time.monotonic() - started:.1f} s"
        time.sleep(0.2)
    return f"not within {patience:.0f} s"


def report(server: Server, file_id: str) -> None:
    print("  small upload  ", status(upload(server, TEXT)))
    print("  job           ", status(create(server, file_id)))
    print("  list of files ", status(lambda: httpx.get(f"{server.url}/v1/files", timeout=60)))
    print("  fill-mask     ", status(lambda: httpx.post(f"{server.url}/v1/fill-mask", json={"input": "a [MASK]"})))
    print("  server        ", "alive" if server.alive else f"ended with {server.process.returncode}")


def var_dir() -> None:
    with small_disk(64 * MIB) as disk:
        with Server(var_dir=disk / "var") as server, Neighbour(server.url) as neighbour:
            file_id, spare = server.upload("a.txt", TEXT), server.upload("b.txt", TEXT)
            big = os.urandom(6 * MIB)
            answers = [status(upload(server, big)) for _ in range(12)]
            print(f"12 uploads of 6 MiB to 64 MiB: {', '.join(answers)}; {free(disk) / MIB:.1f} MiB are left")
            left = [path.name for path in (disk / "var" / "files").glob(".tmp-*")]
            print(f"left of uploads under way: {left or 'nothing'}")
            report(server, file_id)
            print("another process fills the disk to the last byte; 5 s later:")
            filler = fill(disk)
            time.sleep(5)
            report(server, file_id)
            print("  deletion      ", seconds_until(lambda: status(delete_file(server, spare)) == "200", 15))
            fill(disk)
            time.sleep(30)
            print("it fills what the deletion freed; 30 s later:")
            report(server, file_id)
            filler.unlink()
            back = seconds_until(lambda: status(upload(server, TEXT)) == "200")
            for name in {path.name for path in (disk / "var" / "files").iterdir()} - {file_id, spare}:
                status(delete_file(server, name))
            print(f"space returns: an upload succeeds after {back}, a job answers {status(create(server, file_id))}")
            fill(disk)
            print(f"tracebacks in the log: {server.tail(10**6).count('Traceback')}")
        print(f"the neighbour: {neighbour.summary()}")
        full_start(disk)


def full_start(disk: Path) -> None:
    print("a server starts on the full disk:")
    fill(disk)
    try:
        with Server(var_dir=disk / "var") as server:
            report(server, "file-none")
            (disk / "filler").unlink()
            back = seconds_until(lambda: status(upload(server, TEXT)) == "200")
            print("  space returns: an upload succeeds after", back)
    except RuntimeError as error:
        print("  it does not start:", str(error).strip().splitlines()[-1])


def model_store() -> None:
    with small_disk(160 * MIB) as disk:
        shutil.copytree(ROOT / "model_store" / "cloze-text", disk / "cloze-text")
        with Server({"CLOZE_MODEL_STORE": str(disk)}) as server:
            jobs = f"{server.url}/v1/pretraining/jobs"
            job = create(server, server.upload("a.txt", TEXT), name="full")().raise_for_status().json()["id"]
            seconds_until(lambda: httpx.get(f"{jobs}/{job}").json()["status"] in ("succeeded", "failed"))
            checkpoint = httpx.get(f"{jobs}/{job}/checkpoints").json()["data"][0]["id"]
            print(f"the model store's disk fills up ({httpx.get(f'{jobs}/{job}').json()['status']} before):")
            fill(disk, leave=200_000)
            before = sorted(disk.rglob("*"))
            publish = f"{jobs}/{job}/checkpoints/{checkpoint}/publish"
            print("  publication   ", status(lambda: httpx.post(publish, json={"name": "new"}, timeout=60)))
            print("  left behind   ", [str(path.relative_to(disk)) for path in set(disk.rglob("*")) - set(before)])
            fill(disk)
            print("  deletion, with 0 bytes left", status(lambda: httpx.delete(f"{server.url}/v1/models/full@1")))


def main() -> None:
    var_dir()
    model_store()


if __name__ == "__main__":
    main()
