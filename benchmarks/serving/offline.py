"""The offline ideal, in a process of its own: the same forward without a server, on ideal batches.

Standard input: {"model", "task", "dtype", "threads", "texts"}. Two forwards are timed: `padded` is the plain
one of transformers on batches sorted by length and padded, `own` the one that Cloze serves.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from app.modalities.base import AnyHandler, OneStepHandler, Prepared
from app.modalities.embedding import EmbedItem
from app.modalities.registry import load
from app.modalities.text.forward import Batching, ForwardPath, TextForward
from app.modalities.text.items import FillMaskItem
from app.serving.packing import pack
from app.types import Task

TOKENS = 4096  # of a batch
ROUNDS = 3


def main(job: dict[str, Any]) -> dict[str, Any]:
    torch.set_num_threads(job["threads"])
    task = Task.EMBED if job["task"] == "embed" else Task.FILL_MASK
    found: dict[str, Any] = {}
    for way in ("padded", "own"):
        objective: Any = load(Path(job["model"]))
        if way == "padded":
            pad_id = objective.tokenizer.pad_token_id
            objective.tasks[task].forward = TextForward(objective.model, ForwardPath(Batching.PADDED), pad_id)
        objective.to(torch.device("cpu"), getattr(torch, job["dtype"]))
        if way == "own":
            pack(objective.model)
        # Cloze runs each forward on one thread.
        alone = 1 if way == "own" else job["threads"]
        found[way] = measure(objective.tasks[task], [item(task, text) for text in job["texts"]], alone)
        torch.set_num_threads(job["threads"])
    return found


def item(task: Task, text: str) -> Any:
    return EmbedItem(text, truncate=True) if task is Task.EMBED else FillMaskItem(text, truncate=True)


def measure(handler: AnyHandler, items: Sequence[Any], threads_alone: int) -> dict[str, float]:
    assert isinstance(handler, OneStepHandler)
    prepared: list[Prepared[Any, Any]] = sorted((handler.prepare(each) for each in items), key=lambda each: each.cost)
    tokens = sum(each.cost for each in prepared)
    collated = [handler.collate(batch) for batch in batches(prepared, padded=handler.pads)]
    forward = quickest(lambda: [handler.run(batch) for batch in collated])
    tokenise = quickest(lambda: [handler.prepare(each) for each in items])

    def alone(each: Any) -> None:
        ready = handler.prepare(each)
        (raw,) = handler.run(handler.collate([ready.inputs]))
        handler.finish(ready, raw)

    torch.set_num_threads(threads_alone)
    # One after another, as a single client asks, after a round to warm up: twice in a row, a text is quicker.
    single = [quickest(lambda each=each: alone(each), 1) for each in [*items, *items]][len(items) :]
    return {
        "inputs_per_second": len(items) / forward,
        "with_tokenising": len(items) / (forward + tokenise),
        "tokens_per_second": tokens / forward,
        "tokens_each": tokens / len(items),
        "single_ms": 1000 * statistics.median(single),
    }


def batches(prepared: Sequence[Prepared[Any, Any]], *, padded: bool) -> list[list[Any]]:
    """The inputs of items sorted by length, in batches of at most TOKENS."""
    found: list[list[Prepared[Any, Any]]] = [[]]
    for each in prepared:
        batch = [*found[-1], each]
        size = len(batch) * each.cost if padded else sum(e.cost for e in batch)
        if found[-1] and size > TOKENS:
            found.append([each])
        else:
            found[-1].append(each)
    return [[each.inputs for each in batch] for batch in found]


def quickest(work: Callable[[], Any], rounds: int = ROUNDS) -> float:
    """Seconds."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        with torch.inference_mode():
            work()
        times.append(time.perf_counter() - started)
    return min(times)


if __name__ == "__main__":
    print(json.dumps(main(json.load(sys.stdin))))
