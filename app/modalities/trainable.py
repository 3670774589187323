"""The interface between training and a model: `Trainable`."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import nn

from app.modalities.base import Prepared
from app.modalities.embedding import EmbedItem


@dataclass(frozen=True)
class Metrics:
    """Sums and counts, so that batches of different sizes add up exactly.

    parts: what `summarise` compares between the samples of all batches, such as their vectors. Only of evaluations.
    """

    loss_sum: float = 0.0
    correct: int = 0
    count: int = 0  # predicted positions
    extra: Mapping[str, float] = field(default_factory=dict)  # further sums, by name
    parts: tuple[Any, ...] = ()

    def __add__(self, other: "Metrics") -> "Metrics":
        keys = self.extra.keys() | other.extra.keys()
        return Metrics(
            self.loss_sum + other.loss_sum,
            self.correct + other.correct,
            self.count + other.count,
            {k: self.extra.get(k, 0.0) + other.extra.get(k, 0.0) for k in sorted(keys)},
            self.parts + other.parts,
        )


class Counts(NamedTuple):
    """The numbers that a loss may be a mean over, of one training batch or of several together."""

    positions: int  # predicted
    items: int  # documents, images, sounds, clips


class TrainingBatch(Protocol):
    """A batch of masked samples."""

    @property
    def counts(self) -> Counts: ...

    @property
    def tokens(self) -> int:
        """Tokens or patches without padding."""
        ...

    def to(self, device: torch.device) -> "TrainingBatch": ...


@dataclass(frozen=True)
class StepContext:
    """How the passes of a step are computed.

    rank, size: of this process among those that train together. autocast: returns the context of a forward pass.
    gather: returns a value of each process, by rank; all processes call it together.
    last_backward: returns the context of the last backward pass of a step, during which processes sum their gradients.
    """

    device: torch.device
    rank: int
    size: int
    autocast: Callable[[], AbstractContextManager[Any]]
    gather: Callable[[Any], list[Any]]
    last_backward: Callable[[], AbstractContextManager[Any]] = nullcontext

    def backward_context(self, batch: int, batches: int) -> AbstractContextManager[Any]:
        """Returns the context of the backward pass of micro-batch number `batch` of `batches`, counted from 0."""
        return self.last_backward() if batch == batches - 1 else nullcontext()


Sample = TypeVar("Sample")  # one training example, as the data set holds it
Masked = TypeVar("Masked")  # a sample with its mask
B = TypeVar("B", bound=TrainingBatch)


class Trainable(ABC, Generic[Sample, Masked, B]):
    """A model as the training loop uses it.

    measure: The metric by which the model is compared with its baselines. Theirs are named `<baseline>_<measure>`.
    lower_is_better: Of the measure.
    compares_with_start: The weights before the first step are a baseline too.
    illustrated: The number of held-out samples that `illustrate` gets.
    """

    model: nn.Module
    measure: str = "loss"
    lower_is_better: bool = True
    compares_with_start: ClassVar[bool] = False
    illustrated: ClassVar[int] = 6

    @abstractmethod
    def mask_sample(
        self, sample: Sample, rng: np.random.Generator, *, evaluate: bool = False, fraction: float = 0.0
    ) -> Masked:
        """Returns the masked sample. `rng` is the only source of randomness.

        evaluate: masks as for evaluations. fraction: share of the run before the sample's step, in [0, 1].
        """

    @abstractmethod
    def collate_masked(self, samples: Sequence[Masked]) -> B:
        """Returns a training batch on the CPU."""

    def start_step(self, step: int, fraction: float) -> None:
        """Sets what changes in the course of a run, before the forward passes of a step.

        step: steps that the run has taken. fraction: share of the run that they are, in [0, 1].
        """

    @abstractmethod
    def forward(self, batch: B, whole: Counts | None = None) -> tuple[torch.Tensor, Metrics]:
        """Returns the mean loss (differentiable, scalar) and the metrics of one batch already on the device.

        whole: counts of all batches of a step; the loss is this one's part then, and the parts add up to the mean.
        """

    def add_gradients(self, batches: Sequence[B], whole: Counts, context: StepContext) -> Metrics:
        """Adds the gradients of a step's loss, from this process's micro-batches, and returns the summed metrics.

        By default the loss of the step is the sum of the losses of its micro-batches.
        """
        metrics = Metrics()
        for number, batch in enumerate(batches):
            with context.autocast():
                loss, found = self.forward(batch.to(context.device), whole)  # type: ignore[arg-type]  # of one kind
            with context.backward_context(number, len(batches)):
                loss.backward()  # type: ignore[no-untyped-call]
            metrics += found
        return metrics

    def evaluate_beside(self) -> Mapping[str, float]:
        """Returns held-out metrics of other data than samples. The model is in its evaluation mode."""
        return {}

    @abstractmethod
    def summarise(self, total: Metrics) -> dict[str, float]:
        """Returns the means of summed metrics, `loss` first; {} if nothing was counted."""

    @abstractmethod
    def save(self, folder: Path, dtype: torch.dtype) -> None:
        """Writes a self-contained folder: safetensors, config and processor files."""

    def describe_choices(self) -> dict[str, Any]:
        """Returns what the model trains with beside the plan: masks, tokenizer, sizes. Names are those on the wire."""
        return {}

    def baselines(self, training: Iterable[Sample], held_out: Iterable[Masked]) -> Mapping[str, float]:
        """Returns the metrics of plain predictors on held-out samples, unless `summarise` has them already.

        Args:
            training: A bounded part of the training samples, which the predictors are fitted on.
            held_out: The samples of each evaluation, with their masks.
        """
        return {}

    def illustrate(self, batch: B) -> tuple[str, bytes] | None:
        """Returns the predictions for a batch on the device in a form for people, as file ending and content.

        None if the model has no such form.
        """
        return None


AnyTrainable = Trainable[Any, Any, Any]  # the loop passes what one model makes only back to the same model


class TrainableEmbed(Protocol):
    """A handler of embeddings through which a model can be trained: its vectors are differentiable."""

    reads_files: ClassVar[bool]

    def decoding(self, item: EmbedItem) -> Callable[[], EmbedItem]: ...

    def prepare(self, item: EmbedItem) -> Prepared[Any, Any]: ...

    def compute_vectors(self, prepared: Sequence[Prepared[Any, Any]]) -> torch.Tensor:
        """Pools items in the model's own way → [B, D] float32, differentiable and not normalized."""
        ...
