"""A real S3 server as a process on the loopback interface: moto's, which has conditional writes."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes.cloze import PATIENCE
from tests.fakes.http import http

PACKAGES = Path(sys.prefix) / "s3-server"  # apart: its botocore asks for an older dateutil than other packages
BUCKET = "models"


@contextmanager
def s3_server(folder: Path) -> Iterator[Mapping[str, str]]:
    """Starts a server with an empty bucket. Yields the variables of its clients. Skips the test if it is missing.

    folder: of its log.
    """
    if not PACKAGES.is_dir():
        pytest.skip("needs moto's server, which `make check` installs")
    pytest.importorskip("obstore", reason="needs the extra s3")
    log = folder / "s3.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", "0"],
            env=os.environ | {"PYTHONPATH": str(PACKAGES), "PYTHONUNBUFFERED": "1"},
            stdout=output,
            stderr=output,
        )
    try:
        url = _find_address(log)
        http.put(f"{url}/{BUCKET}").raise_for_status()
        yield {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
        }
    finally:
        process.kill()
        process.wait()


def _find_address(log: Path) -> str:
    deadline = time.monotonic() + PATIENCE
    while "http://127.0.0.1:" not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    return "http://127.0.0.1:" + log.read_text().partition("http://127.0.0.1:")[2].split()[0].rstrip("/")
