"""The seam between Cloze and a modality: one `Objective` serves and trains it.

Serving goes through `tasks`, training through `samples` of a dataset; both share the loaded
model and its processor, so preprocessing cannot drift between them.
"""

from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import nn

from app.modalities.text.items import TokenInfo
from app.types import Task


@dataclass(frozen=True)
class Prepared:
    """One item, ready to be collated.

    features: what the model will see, without a batch dimension.
    cost: tokens (patches, frames) that the item takes of a batch's budget.
    key: only items of equal key share a forward.
    info: what `finish` needs to build the answer; never collated.
    padded: items of a batch are padded to its longest, so they should be alike in cost.
    """

    features: Any
    cost: int
    key: Hashable = None
    info: Any = None
    padded: bool = True


# How an item is answered that takes more than one row of a batch, or rows that depend on each other:
# yields rows, is sent the raw result of each, and so on; returns the answer.
Rounds = Generator[Sequence[Prepared], Sequence[Any], Any]


class TaskHandler(Protocol):
    """How a model performs one task: prepare → collate → run → finish.

    `prepare`, `collate` and `finish` run on any thread and touch no device; `prepare` and `finish` raise `AppError`s
    for an item's own mistakes. `run` is called by one thread at a time: where several run a model, each has a
    replica of the handler (`replicate`).
    """

    def prepare(self, item: Any) -> Prepared | Rounds:
        """`Rounds`, which run on any thread too, take the place of `finish`."""
        ...

    def collate(self, batch: Sequence[Prepared]) -> Any:
        """A batch of tensors on the CPU; padding only to the longest of the batch."""
        ...

    def run(self, collated: Any) -> Sequence[Any]:
        """One raw result an item, in order, on the CPU, as NumPy arrays or plain values."""
        ...

    def finish(self, prepared: Prepared, raw: Any) -> Any: ...


@runtime_checkable
class WarmUp(Protocol):
    """A TaskHandler with an example: an item that is run once before the model counts as loaded."""

    def example(self) -> Any: ...


@runtime_checkable
class Quick(Protocol):
    """A TaskHandler that knows which items are prepared and finished in far less than a millisecond."""

    def is_quick(self, item: Any) -> bool: ...


@runtime_checkable
class Heavy(Protocol):
    """A TaskHandler whose items are files. Decoded they are far larger, so few are held at once.

    Each is one row: `prepare` gives no `Rounds`, and is `prepare_decoded` of what `decoding` returns.
    """

    heavy: Literal[True]

    def decoding(self, item: Any) -> Callable[[], Any]:
        """The call that decodes the item's file. It is picklable, needs no torch, and may crash its process.

        Raises AppErrors for mistakes that can be seen without decoding.
        """
        ...

    def prepare_decoded(self, item: Any, decoded: Any) -> Prepared: ...


@runtime_checkable
class Illustrating(Protocol):
    """An Objective that can draw its model's predictions of a masked batch."""

    def illustrate(self, batch: Any) -> tuple[str, bytes]:
        """A batch already on the device → (file ending, content)."""
        ...


@dataclass(frozen=True)
class Metrics:
    """Sums and counts, so that batches of different sizes add up exactly."""

    loss_sum: float = 0.0
    correct: int = 0
    count: int = 0  # predicted positions
    extra: Mapping[str, float] = field(default_factory=dict)  # further sums, by name

    def __add__(self, other: "Metrics") -> "Metrics":
        keys = self.extra.keys() | other.extra.keys()
        return Metrics(
            self.loss_sum + other.loss_sum,
            self.correct + other.correct,
            self.count + other.count,
            {k: self.extra.get(k, 0.0) + other.extra.get(k, 0.0) for k in sorted(keys)},
        )


class Counts(NamedTuple):
    """How much a training batch holds, or several together, of what a loss may be a mean of."""

    positions: int  # predicted
    items: int  # documents, images, sounds, clips


class Objective(Protocol):
    """A loaded masked model with everything around it that knows its modality."""

    @property
    def modality(self) -> str:
        """The name of a registered modality."""
        ...

    @property
    def model(self) -> nn.Module: ...

    @property
    def tasks(self) -> Mapping[Task, TaskHandler]:
        """A task that the model lacks is absent."""
        ...

    @property
    def mask_token(self) -> str | None: ...

    @property
    def max_length(self) -> int | None: ...

    @property
    def dimensions(self) -> int | None: ...

    @property
    def reads_text(self) -> bool: ...

    def tokenize(self, text: str, add_special_tokens: bool = True) -> Iterator[TokenInfo]: ...

    def parameter_count(self) -> int: ...

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        """Moves the model; serving calls it once, before the first task."""
        ...

    def save(self, folder: Path, dtype: torch.dtype) -> None:
        """Writes a self-contained folder: safetensors, config and processor files."""
        ...

    # Training. A sample is one row of the dataset.

    def mask(self, sample: Any, rng: np.random.Generator, *, evaluate: bool = False) -> Any:
        """The masked sample; `rng` is the only source of randomness. `evaluate`: by the fixed standard."""
        ...

    def collate_masked(self, samples: Sequence[Any]) -> Any:
        """A training batch on the CPU."""
        ...

    def forward(self, batch: Any, whole: Counts | None = None) -> tuple[torch.Tensor, Metrics]:
        """Mean loss (differentiable, scalar) and the metrics of one batch already on the device.

        whole: counts of all batches of a step; the loss is this one's part then, and the parts add up to the mean.
        """
        ...

    def summarise(self, total: Metrics) -> dict[str, float]:
        """Returns the means of summed metrics, `loss` first; {} if nothing was counted."""
        ...
