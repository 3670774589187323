"""Several processes that train one model, each on its own share of every step's samples.

The process that starts the others is rank 0. It alone reports, decides when to stop, and writes. All
processes start with the same weights and sum their gradients before each optimizer step, so their
weights stay the same. docs/decisions/0007-plain-torch-distributed.md says why this uses
torch.distributed alone.
"""

import multiprocessing
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn

from app.errors import AppError
from app.modalities.trainable import Metrics
from app.training.hooks import Killed, Stopped

T = TypeVar("T")
PeerWork = Callable[["ProcessGroup"], object]
TIMEOUT = timedelta(hours=6)  # of one operation: rank 0 may tokenize or write while the others wait
_EXIT_SECONDS = 30.0  # a process ends a moment after its connections; a busy machine makes the moment longer
_POLL_SECONDS = 0.05


class ProcessGroup:
    """This process as one of `size` that train together. In a group of one, every operation is free.

    local_rank, local_size: The same among the processes on this machine; by default all are.
    """

    def __init__(
        self, rank: int = 0, size: int = 1, *, local_rank: int | None = None, local_size: int | None = None
    ) -> None:
        self.rank, self.size = rank, size
        self.local_rank = rank if local_rank is None else local_rank
        self.local_size = local_size or size

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def own_share(self, samples: Sequence[T]) -> Sequence[T]:
        """Returns this process's part of a step's samples. The parts are consecutive and cover all samples."""
        first, end = (len(samples) * rank // self.size for rank in (self.rank, self.rank + 1))
        return samples[first:end]

    def broadcast(self, value: T) -> T:
        """Returns rank 0's value in every process."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, device=torch.device("cpu"))
        return box[0]

    def sum(self, *values: int) -> tuple[int, ...]:
        """Returns the sum of each value over all processes."""
        if self.size == 1:
            return values
        total = torch.tensor(values, dtype=torch.int64)
        dist.all_reduce(total)
        return tuple(total.tolist())

    def gather(self, value: T) -> list[T]:
        """Returns the values of all processes, by rank."""
        if self.size == 1:
            return [value]
        gathered: list[Any] = [None] * self.size
        dist.all_gather_object(gathered, value)
        return gathered

    def sum_metrics(self, metrics: Metrics) -> Metrics:
        """Returns the sum over all processes. It is added in the order of ranks, so it is the same in each."""
        return metrics if self.size == 1 else sum(self.gather(metrics), start=Metrics())

    def broadcast_weights(self, model: nn.Module) -> None:
        """Copies the weights of rank 0 to every process."""
        if self.size > 1:
            for parameter in model.parameters():
                dist.broadcast(parameter.data, src=0)

    @contextmanager
    def run_main_first(self) -> Iterator[None]:
        """Runs the block in rank 0 first, so that the others find on the disk what it prepared."""
        if not self.is_main:
            self.broadcast(None)
        yield
        if self.is_main:
            self.broadcast(None)


class SilentHooks:
    """`Hooks` of a process that reports nothing and decides nothing: rank 0 does."""

    def on_event(self, *args: Any, **kwargs: Any) -> None:
        pass

    def on_progress(self, progress: Any) -> None:
        pass

    def on_checkpoint(self, *args: Any) -> None:
        pass

    def on_artifact(self, *args: Any) -> None:
        pass

    def on_chosen(self, *args: Any) -> None:
        pass

    def on_verdict(self, *args: Any) -> None:
        pass

    def should_stop(self) -> None:
        return None

    def can_save(self) -> bool:
        return True

    def fence(self) -> None:
        pass


@contextmanager
def launch_group(
    size: int, folder: Path, work: PeerWork, bind: Callable[[int], None], timeout: timedelta = TIMEOUT
) -> Iterator[ProcessGroup]:
    """Starts `size - 1` processes that run `work(group)`, and yields the group of this process, rank 0.

    The other processes end with the context. Call this from the main thread.

    Args:
        folder: A folder on this machine, in which the processes find each other.
        work: What the other processes do. Picklable.
        bind: Called first by each of them, with the id of this process, to end when this one ends. Picklable.
        timeout: The longest time that an operation of the group waits for the other processes.

    Raises:
        RuntimeError: Another process ended early.
        Killed: Another process ended by SIGKILL.
    """
    if size == 1:
        yield ProcessGroup()
        return
    context = multiprocessing.get_context("spawn")  # a fork is not safe after torch has started threads
    with tempfile.TemporaryDirectory(prefix="meet-", dir=folder) as meeting:
        groups = [ProcessGroup(rank, size) for rank in range(size)]
        arguments = [(group, Path(meeting), timeout, work, bind, os.getpid()) for group in groups[1:]]
        peers = [context.Process(target=_run_peer, args=args, daemon=True) for args in arguments]
        for peer in peers:
            peer.start()
        try:
            _connect(groups[0], Path(meeting), timeout, peers)
            yield groups[0]
            for peer in peers:
                peer.join()
        except (AppError, Stopped):
            raise
        except Exception as e:
            _raise_if_ended(peers, e)
            raise
        finally:
            for peer in peers:
                peer.kill()
                peer.join()
            with suppress(RuntimeError, ValueError):  # the group may be broken
                if dist.is_initialized():
                    dist.destroy_process_group()


def _raise_if_ended(peers: Sequence[BaseProcess], cause: Exception) -> None:
    """Raises the error for peers that have failed: rank 0 itself sees a closed connection only."""
    ended = wait([peer.sentinel for peer in peers], _EXIT_SECONDS)
    for peer in peers:
        if peer.sentinel in ended:
            peer.join(_EXIT_SECONDS)  # the exit code may come a moment after the sentinel
    codes = {rank: peer.exitcode for rank, peer in enumerate(peers, start=1) if peer.exitcode}
    if codes:
        kind = Killed if -signal.SIGKILL in codes.values() else RuntimeError
        raise kind(f"training processes ended early (exit code by rank: {codes})") from cause


def _run_peer(
    group: ProcessGroup, meeting: Path, timeout: timedelta, work: PeerWork, bind: Callable[[int], None], parent: int
) -> None:
    bind(parent)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # rank 0 decides when to stop
    try:
        _connect(group, meeting, timeout)
        work(group)
    except BaseException as e:
        _exit_at_once(e)
    dist.destroy_process_group()


def _exit_at_once(error: BaseException) -> None:
    """Ends this process while its connections are open.

    The interpreter would close them and end seconds later. Until then rank 0 would see a broken connection and no
    exit code.
    """
    if isinstance(error, SystemExit) and isinstance(error.code, int):
        code = error.code
    else:
        traceback.print_exception(error)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _connect(group: ProcessGroup, meeting: Path, timeout: timedelta, peers: Sequence[BaseProcess] = ()) -> None:
    """Joins the group. Rank 0 first waits until its `peers` have started, and raises RuntimeError if one ends."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all processes are on this machine
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    # A FileStore and not a `file://` URL: torch does not decode spaces and other quoted characters in the URL.
    store = dist.FileStore(str((meeting / "store").absolute()), group.size)  # type: ignore[attr-defined]
    store.set_timeout(timeout)
    started = store.add("started", 1)
    while group.is_main and started < group.size:
        if wait([peer.sentinel for peer in peers], _POLL_SECONDS):
            raise RuntimeError("a training process ended before it joined the others")
        started = store.add("started", 0)
    dist.init_process_group(backend, store=store, rank=group.rank, world_size=group.size, timeout=timeout)


def check_parent(parent: int) -> None:
    """Ends this process if its parent has ended already. The simplest `bind`."""
    if os.getppid() != parent:
        raise SystemExit(f"parent process {parent} has ended")
