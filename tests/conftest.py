"""Before anything is imported: few threads, no hub, and none of the caller's own settings."""

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent
# Whole files go to one of two processes; what takes a minute or more begins first, so that they end together.
LONG = (
    "web/test_jobs.py",
    "test_serve.py",
    "e2e/test_story.py",
    "e2e/test_faults.py",
    "web",
    "e2e",
    "training",
    "conformance",
    "contracts",
    "worker",
)
assert all((ROOT / path).exists() for path in LONG)

os.environ.update(
    {
        "OMP_NUM_THREADS": "1",  # the tests are many small forwards; threads only make them wait
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "NO_PROXY": "127.0.0.1,localhost",
        "COLUMNS": "120",  # of rich's tables
    }
)
# Tests kill processes, never the machine; thousands of waits of milliseconds take a minute.
os.fsync = lambda descriptor: None
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A script's background job ignores it, and so would the servers that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
for name in [name for name in os.environ if name.startswith("CLOZE_")]:
    del os.environ[name]


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Names no test by bytes: those of an archive have the time, and two processes have to agree on the names."""
    return argname if isinstance(val, bytes) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        file = item.path.relative_to(ROOT)
        return next((n for n, path in enumerate(LONG) if file.is_relative_to(path)), len(LONG))

    items.sort(key=place)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Lists the tests that passed only when they were repeated (see tests/web/conftest.py)."""
    found = [
        (report.nodeid, text)
        for report in terminalreporter.getreports("passed")
        if report.when == "call"
        for name, text in report.user_properties
        if name == "flaky"
    ]
    if found:
        terminalreporter.section(f"{len(found)} flaky: failed, and passed when repeated", yellow=True)
        for nodeid, text in found:
            terminalreporter.write_line(text)
            terminalreporter.write_line(f"FLAKY {nodeid}", yellow=True)


@pytest.fixture(scope="session")
def warm_processes() -> Iterator[dict[str, str]]:
    """Variables with which servers and their jobs are forks of one process, which has imported torch."""
    from tests.fakes.warm_starts import SERVERS_AND_JOBS, warm_starts

    with warm_starts(SERVERS_AND_JOBS) as variables:
        yield variables


@pytest.fixture(autouse=True, scope="module")
def freeze_earlier_objects() -> None:
    """Keeps what was imported and made before a file out of the collections of garbage during its tests.

    Most of it stays to the end: modules, collected tests, what files share. Each collection would look through it all.
    """
    gc.collect()
    gc.freeze()
