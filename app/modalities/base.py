"""The interface between serving and a task of a model: `TaskHandler`.

A request is answered in steps. In each step an item gives rows, which share batches with the rows of other
requests, and gets one raw result a row. Most items take one step of one row; a beam search takes several steps.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar

from app.types import Task

Item = TypeVar("Item")  # one input of a request, checked and typed
Inputs = TypeVar("Inputs")  # the arrays that the model reads for one row
Context = TypeVar("Context")  # the facts about an item that its result needs and the model does not
Batch = TypeVar("Batch")  # the inputs of several rows as tensors
Raw = TypeVar("Raw")  # the model's output for one row, on the CPU
Result = TypeVar("Result")  # the answer for an item


@dataclass(frozen=True)
class BatchRow(Generic[Inputs]):
    """One row of a batch.

    inputs: the arrays that the model reads, without a batch dimension.
    cost: tokens (patches, frames) that the row takes of a batch's budget.
    """

    inputs: Inputs
    cost: int


@dataclass(frozen=True)
class Prepared(BatchRow[Inputs], Generic[Inputs, Context]):
    """The row of an item that takes one step, with the facts that its result needs."""

    context: Context


# Yields the rows of a step, is sent their raw results in the same order, and returns the item's result.
Steps = Generator[Sequence[BatchRow[Inputs]], Sequence[Raw], Result]


class TaskHandler(ABC, Generic[Item, Inputs, Batch, Raw, Result]):
    """One task of a model: items → rows → batches → raw results → results.

    `steps` and `collate` run on any thread and touch no device. `run` is called by one thread at a time: where several
    threads run a model, each has a replica of the handler (`app.serving.replicas`).
    """

    reads_files: bool = False
    """Whether items are files. Decoded, they are far larger, so few are held at once; each takes one row."""

    rows_of: ClassVar[Task | None] = None
    """The task of the same model whose rows this task's are, so that both share batches; None: its own."""

    @abstractmethod
    def steps(self, item: Item) -> Steps[Inputs, Raw, Result]:
        """Starts an item. Raises an AppError here, before anything runs, for mistakes in the item."""

    @abstractmethod
    def collate(self, inputs: Sequence[Inputs]) -> Batch:
        """Returns a batch of tensors on the CPU, padded at most to its longest row."""

    @abstractmethod
    def run(self, batch: Batch) -> Sequence[Raw]:
        """Runs the model. Returns one raw result a row, in order, as NumPy arrays or plain values."""

    @property
    def pads(self) -> bool:
        """Whether `collate` pads rows to the longest, so that a batch should hold rows of similar cost."""
        return True

    def example(self) -> Item | None:
        """Returns an item that is run once before the model counts as loaded, or None for no such run."""
        return None

    def is_quick(self, item: Item) -> bool:
        """Whether starting and finishing the item takes far less than a millisecond."""
        return False

    def takes_one_step(self, item: Item) -> bool:
        """Whether the item takes one step, mostly of one row. Such items of a request are all started at once."""
        return False

    def decoding(self, item: Item) -> Callable[[], Item]:
        """Returns a call that returns the item with its file decoded.

        The call can be pickled, needs no torch, and may crash its process. `steps` takes the item in both forms.
        Raises AppErrors for mistakes that can be seen without decoding.
        """
        return partial(_unchanged, item)


class OneStepHandler(TaskHandler[Item, Inputs, Batch, Raw, Result], Generic[Item, Inputs, Context, Batch, Raw, Result]):
    """A task whose items take one row each: prepare → collate → run → finish."""

    @abstractmethod
    def prepare(self, item: Item) -> Prepared[Inputs, Context]:
        """Returns the item's row. Raises an AppError for mistakes in the item."""

    @abstractmethod
    def finish(self, prepared: Prepared[Inputs, Context], raw: Raw) -> Result:
        """Returns the item's result. Raises an AppError if the model's output cannot be used."""

    def steps(self, item: Item) -> Steps[Inputs, Raw, Result]:
        return self._one_step(self.prepare(item))

    def takes_one_step(self, item: Item) -> bool:
        return True

    def _one_step(self, prepared: Prepared[Inputs, Context]) -> Steps[Inputs, Raw, Result]:
        (raw,) = yield [prepared]
        return self.finish(prepared, raw)


# A table of handlers holds tasks of different types; what a handler makes is only passed back to the same handler.
AnyHandler = TaskHandler[Any, Any, Any, Any, Any]
AnySteps = Steps[Any, Any, Any]


def _unchanged(item: Item) -> Item:
    return item
