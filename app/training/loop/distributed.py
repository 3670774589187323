"""Several processes that train one model together, each on its part of every step's samples.

The trainer's own process is rank 0: it starts the others and alone reports, decides when to stop
and writes. All have the same weights, sum their gradients before each optimiser step and so keep
the same weights. Why torch.distributed alone: docs/decisions/0007-plain-torch-distributed.md.
"""

import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn

from app.errors import AppError
from app.modalities.base import Metrics
from app.training.hooks import Killed, Stopped

T = TypeVar("T")
Work = Callable[["ProcessGroup"], object]
_PATIENCE = timedelta(hours=6)  # rank 0 may tokenise or write while the others wait


class ProcessGroup:
    """This process among those that train together; by itself, it is a group of one and every call is free."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def own_share(self, samples: Sequence[T]) -> Sequence[T]:
        """Returns this process's part of a step's samples: the parts are consecutive and cover all."""
        edge = [len(samples) * r // self.size for r in (self.rank, self.rank + 1)]
        return samples[edge[0] : edge[1]]

    def broadcast(self, value: T) -> T:
        """Rank 0's value, in every process."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, device=torch.device("cpu"))
        return box[0]

    def sum(self, *values: int) -> tuple[int, ...]:
        if self.size == 1:
            return values
        total = torch.tensor(values, dtype=torch.int64)
        dist.all_reduce(total)
        return tuple(total.tolist())

    def sum_metrics(self, metrics: Metrics) -> Metrics:
        """The sum over all processes, the same in each: they are added in the order of ranks."""
        if self.size == 1:
            return metrics
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, metrics)
        return sum(found, start=Metrics())

    def sum_gradients(self, model: nn.Module) -> None:
        """Replaces every gradient by its sum over all processes."""
        if self.size == 1:
            return
        sums = []
        for parameter in model.parameters():
            if parameter.requires_grad:
                if parameter.grad is None:  # nothing that this process computed reached it
                    parameter.grad = torch.zeros_like(parameter)
                sums.append(dist.all_reduce(parameter.grad, async_op=True))
        for each in sums:
            each.wait()

    def broadcast_weights(self, model: nn.Module) -> None:
        """Gives every process the weights of rank 0."""
        if self.size > 1:
            for parameter in model.parameters():
                dist.broadcast(parameter.data, src=0)

    @contextmanager
    def run_main_first(self) -> Iterator[None]:
        """Rank 0 goes first and the others find what it left on the disk."""
        if not self.is_main:
            self.broadcast(None)
        yield
        if self.is_main:
            self.broadcast(None)


class SilentHooks:
    """`Hooks` of a process that reports nothing and decides nothing."""

    def on_event(self, *args: Any, **kwargs: Any) -> None:
        """Rank 0 says it."""

    def on_progress(self, progress: Any) -> None:
        """Rank 0 says it."""

    def on_checkpoint(self, *args: Any) -> None:
        """Rank 0 writes it."""

    def on_artifact(self, *args: Any) -> None:
        """Rank 0 has it."""

    def should_stop(self) -> None:
        return None

    def can_save(self) -> bool:
        return True

    def fence(self) -> None:
        """Nothing is written here."""


@contextmanager
def launch_group(size: int, folder: Path, assist: Work, bind: Callable[[int], None]) -> Iterator[ProcessGroup]:
    """Within it, `size - 1` further processes run `assist(group)`; yields this one's group, of rank 0.

    folder: where they meet. assist, bind: picklable; each process first calls `bind` with the id of
    this one, to end when this one does. Call from the main thread. The others do not outlive the
    context. Raises RuntimeError if one of them ends before its time, Killed if by SIGKILL.
    """
    if size == 1:
        yield ProcessGroup()
        return
    context = multiprocessing.get_context("spawn")  # a fork after torch has threads is not safe
    with tempfile.TemporaryDirectory(prefix="meet-", dir=folder) as meet:
        arguments = [(ProcessGroup(rank, size), Path(meet), assist, bind, os.getpid()) for rank in range(1, size)]
        others = [context.Process(target=_assist, args=a, daemon=True) for a in arguments]
        for process in others:
            process.start()
        try:
            _join(ProcessGroup(0, size), Path(meet))
            yield ProcessGroup(0, size)
            for process in others:
                process.join()
        except (AppError, Stopped):
            raise
        except Exception as e:
            for process in others:
                process.join(5.0)  # a peer that has just died is what the rest complains of
            ended = {rank: p.exitcode for rank, p in enumerate(others, start=1) if p.exitcode}
            if not ended:
                raise
            how = Killed if -signal.SIGKILL in ended.values() else RuntimeError
            raise how(f"training processes ended before their time: {ended} (rank: exit code)") from e
        finally:
            for process in others:
                process.kill()
                process.join()
            with suppress(RuntimeError, ValueError):  # there may be none, or a broken one
                dist.destroy_process_group()


def _assist(group: ProcessGroup, meet: Path, assist: Work, bind: Callable[[int], None], parent: int) -> None:
    bind(parent)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # rank 0 says when to stop
    _join(group, meet)
    assist(group)
    dist.destroy_process_group()


def _join(group: ProcessGroup, meet: Path) -> None:
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all are on this machine
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    # No URL of the file, as init_method: torch does not undo its quoting of spaces and the like.
    store = dist.FileStore(str((meet / "store").absolute()), group.size)  # type: ignore[attr-defined]
    store.set_timeout(_PATIENCE)
    dist.init_process_group(backend, store=store, rank=group.rank, world_size=group.size, timeout=_PATIENCE)


def check_parent(parent: int) -> None:
    """A `bind` that only sees to it that the parent has not ended already."""
    if os.getppid() != parent:
        raise SystemExit(f"parent process {parent} has ended")
