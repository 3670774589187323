"""Sums the gradients of several processes while the backward pass still computes others.

The method is that of torch's DistributedDataParallel: Li et al., "PyTorch Distributed: Experiences on Accelerating Data
Parallel Training" (arXiv 2006.15704). docs/decisions/0007-plain-torch-distributed.md says why that class is not used.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

BUCKET_BYTES = 4 * 2**20  # a message of less is dominated by its latency


class _Bucket:
    """Gradients that are summed in one operation. They are views of one buffer."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self.parameters = parameters
        first = parameters[0]
        self.buffer = torch.zeros(sum(p.numel() for p in parameters), dtype=first.dtype, device=first.device)
        parts = torch.split(self.buffer, [p.numel() for p in parameters])
        self.views = [part.view_as(p) for part, p in zip(parts, parameters, strict=True)]
        self.missing = len(parameters)  # gradients that the last backward pass has not added yet

    def start(self) -> None:
        self.buffer.zero_()
        self.missing = len(self.parameters)
        for parameter, view in zip(self.parameters, self.views, strict=True):
            parameter.grad = view


class GradientReducer:
    """Replaces the gradients of a model by their sums over all processes, once a step.

    All processes call `start` and `finish` in each step, with `last_backward` around the last of the passes between
    them. A process without a sample calls the two alone. In a group of one, nothing is done.

    The sums do not depend on the moment at which they are computed, and buckets are the same in each run.
    """

    def __init__(self, model: nn.Module, size: int, bucket_bytes: int = BUCKET_BYTES) -> None:
        """size: The number of processes. bucket_bytes: Gradients that are sent together, at least."""
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        # The backward pass reaches the last parameters first.
        self._buckets = [_Bucket(each) for each in _fill_buckets(trained[::-1], bucket_bytes)] if size > 1 else []
        self._order = list(self._buckets)  # in which they are sent; the same in all processes
        self._used: set[int] = set()  # places of the parameters that a backward pass of this step has reached
        self._pending: list[Any] = []  # operations that have started
        self._is_last = False
        self._hooks = []
        place = 0
        for bucket in self._buckets:
            for parameter in bucket.parameters:
                note = partial(self._note, bucket, place)
                self._hooks.append(parameter.register_post_accumulate_grad_hook(note))  # type: ignore[no-untyped-call]
                place += 1

    def close(self) -> None:
        """Removes the hooks from the parameters."""
        for hook in self._hooks:
            hook.remove()

    @property
    def sent(self) -> int:
        """The number of buckets whose sum this step has begun to compute."""
        return len(self._pending)

    def start(self) -> None:
        """Sets all gradients to zero."""
        self._used.clear()
        self._pending.clear()
        for bucket in self._buckets:
            bucket.start()

    @contextmanager
    def last_backward(self) -> Iterator[None]:
        """Sends gradients as soon as the backward pass within the context has added its own."""
        self._is_last = True
        try:
            yield
        finally:
            self._is_last = False

    def finish(self, *, failed: bool = False) -> bool:
        """Waits until all gradients are summed. One that no process has computed is None, as in a single process.

        failed: Whether this process cannot take the step. Returns whether any process cannot.
        """
        if not self._buckets:
            return failed
        for bucket in self._order[self.sent :]:
            self._send(bucket)
        for operation in self._pending:
            operation.wait()
        parameters = [parameter for bucket in self._buckets for parameter in bucket.parameters]
        flags = torch.tensor([failed, *(place in self._used for place in range(len(parameters)))], dtype=torch.int32)
        dist.all_reduce(flags)
        any_failed, *used = map(bool, flags.tolist())
        unused = {parameter for parameter, is_used in zip(parameters, used, strict=True) if not is_used}
        for parameter in unused:
            parameter.grad = None
        # A bucket that is never complete would hold up those behind it.
        self._order = sorted(self._buckets, key=lambda bucket: not unused.isdisjoint(bucket.parameters))
        return any_failed

    def _note(self, bucket: _Bucket, place: int, parameter: nn.Parameter) -> None:
        """Called by autograd when a backward pass has added its gradient to a parameter's."""
        self._used.add(place)
        if self._is_last:
            bucket.missing -= 1
            while self.sent < len(self._order) and not self._order[self.sent].missing:
                self._send(self._order[self.sent])

    def _send(self, bucket: _Bucket) -> None:
        self._pending.append(dist.all_reduce(bucket.buffer, async_op=True))


def _fill_buckets(parameters: list[nn.Parameter], least: int) -> Iterator[list[nn.Parameter]]:
    """Yields the parameters in groups of one dtype and device, each but the last of at least `least` bytes."""
    filled: list[nn.Parameter] = []
    size = 0
    for parameter in parameters:
        other = filled and (parameter.dtype, parameter.device) != (filled[0].dtype, filled[0].device)
        if filled and (other or size >= least):
            yield filled
            filled, size = [], 0
        filled.append(parameter)
        size += parameter.numel() * parameter.element_size()
    if filled:
        yield filled
