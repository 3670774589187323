"""Processes give what an encoder gives, and none is left behind."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest

from app.training.data.encoding import make_encoder
from app.training.data.encoding_process import EncodingProcesses
from app.training.hooks import Killed
from tests.fakes.tiny_models import CORPUS, tiny_tokenizer

U16 = np.dtype(np.uint16)
TOKENIZER = tiny_tokenizer().backend_tokenizer


@pytest.fixture
def ask() -> Iterator[EncodingProcesses]:
    with EncodingProcesses(TOKENIZER, U16, 2) as ask:
        yield ask


def helpers() -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):  # another test's, that has ended
            found += [process] * ("app.training.data.encoding_process" in process.cmdline())
    return found


def test_threads_ask_processes_for_what_an_encoder_gives(ask: EncodingProcesses) -> None:
    batches = [[f"{number} {text}" for text in CORPUS] for number in range(12)] + [[], ["", "a\ud7ff\U0001f981"]]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(ask, batches))
    encode = make_encoder(TOKENIZER, U16)
    for encoded, expected in zip(found, map(encode, batches), strict=True):
        assert encoded.tokens == expected.tokens
        assert np.array_equal(encoded.lengths, expected.lengths)
        assert np.array_equal(encoded.hashes, expected.hashes)
    # More than a pipe holds, both ways at once.
    large = ["lions chase zebras " * 50_000] * 3
    assert ask(large).tokens == encode(large).tokens


@pytest.mark.parametrize(("how", "error"), [(signal.SIGKILL, Killed), (signal.SIGABRT, RuntimeError)])
def test_a_process_that_ended_is_told_of(how: signal.Signals, error: type[Exception], ask: EncodingProcesses) -> None:
    ask(["a lion"])
    for process in helpers():
        process.send_signal(how)
    for _ in range(3):
        with pytest.raises(error, match=f"ended early, with exit code -{how.value}"):
            ask(["a lion"])


def test_none_outlives_its_context() -> None:
    with EncodingProcesses(TOKENIZER, U16, 2) as ask:
        ask(["a lion"])
        assert len(started := helpers()) == 2
    assert not any(process.is_running() for process in started)


def test_none_outlives_its_parent() -> None:
    code = (
        "import os, signal, numpy as np, psutil\n"
        "from tokenizers import Tokenizer\n"
        "from tokenizers.models import WordLevel\n"
        "from app.training.data.encoding_process import EncodingProcesses\n"
        "with EncodingProcesses(Tokenizer(WordLevel({'a': 0}, unk_token='a')), np.dtype(np.uint16), 2) as ask:\n"
        "    ask(['a'])\n"
        "    print(*(p.pid for p in psutil.Process().children()), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    left = [psutil.Process(pid) for pid in map(int, ended.stdout.split()) if psutil.pid_exists(pid)]
    assert len(ended.stdout.split()) == 2
    _, alive = psutil.wait_procs(left, timeout=20)
    assert not alive


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_stop_is_for_who_asks(how: signal.Signals, ask: EncodingProcesses) -> None:
    """As systemd sends it to all processes of a service."""
    for _ in helpers():  # in turn: both have started
        ask(["a lion"])
    for process in helpers():
        assert os.getpgid(process.pid) != os.getpgid(0)
        process.send_signal(how)
    for _ in helpers():
        assert ask(["a lion"]).tokens == make_encoder(TOKENIZER, U16)(["a lion"]).tokens
