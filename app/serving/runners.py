"""The runners of all devices, which take batches from one queue."""

from collections.abc import Sequence
from typing import Any

import torch

from app.devices import batch_tokens, name_devices, serving_forwards
from app.serving.batcher import Batcher
from app.serving.runner import Runner
from app.serving.served_task import ServedTask


def make_runners(
    devices: Sequence[torch.device],
    *,
    max_batch_tokens: int | None = None,
    max_queued_inputs: int = 8192,
    forwards: int | None = None,
    threads: int | None = None,
    **options: Any,
) -> list[Runner]:
    """Makes a runner for each device.

    max_batch_tokens: None: see `batch_tokens`.
    max_queued_inputs: permits for all devices together.
    forwards, threads: how many at once on each device, and of how many threads each; None: see `serving_forwards`.
        Several devices that are the CPU share its processors.
    options: of each `Runner`.
    """
    tokens = max_batch_tokens or batch_tokens(devices[0])
    each = serving_forwards(devices[0], forwards, threads, sharing=len(devices))
    batcher: Batcher[ServedTask] = Batcher(tokens, max_queued_inputs, shares=each.at_once * len(devices))
    names = name_devices(devices)
    return [
        Runner(device, each, name=name, batcher=batcher, max_batch_tokens=tokens, **options)
        for device, name in zip(devices, names, strict=True)
    ]
